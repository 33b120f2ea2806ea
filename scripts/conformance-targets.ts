/** What the conformance suite is pointed at: the same app, reached in different ways. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { root } from "./workspace.ts";

/** A target that runs. */
export interface OpenTarget {
  /** An MCP endpoint on loopback: the suite tests protection against DNS rebinding, which is about loopback. */
  readonly url: string;
  /** What every request needs as `Authorization: Bearer`. */
  readonly token?: string;
  close(): Promise<void>;
}

/** A way to the app. */
export interface ConformanceTarget {
  readonly name: string;
  open(): Promise<OpenTarget>;
}

/** What a child says when it is ready. */
async function firstLineOf(stdout: Readable): Promise<string> {
  for await (const line of createInterface(stdout)) return line;
  throw new Error("The target ended before it was ready.");
}

const app = join(root, "examples/conformance-app");

/** The app alone, as a baseline. */
const direct: ConformanceTarget = {
  name: "direct",
  async open() {
    const child = spawn(process.execPath, [join(app, "http.ts")], { stdio: ["ignore", "pipe", "inherit"] });
    return {
      url: await firstLineOf(child.stdout),
      async close() {
        child.kill();
        if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
      },
    };
  },
};

export const targets: readonly ConformanceTarget[] = [direct];
