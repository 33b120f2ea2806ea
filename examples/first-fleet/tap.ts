/**
 * Stands between a hub and one of its apps and writes down what the app hears: `node tap.ts LOG COMMAND ARGS…`.
 * The app itself is the npm package, untouched.
 */
import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";

const [log, command, ...args] = process.argv.slice(2);
if (!log || !command) throw new Error("usage: node tap.ts LOG COMMAND ARGS…");
const heard = createWriteStream(log, { flags: "a" });
const app = spawn(command, args, { stdio: ["pipe", "inherit", "inherit"] });
process.stdin.on("data", (chunk) => heard.write(chunk));
process.stdin.pipe(app.stdin);
app.once("exit", (code) => process.exit(code ?? 1));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => app.kill(signal));
