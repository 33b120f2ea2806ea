/** A process of its own: it is handed a set-up, says when it is ready, tells its CPU time, and ends when its parent lets go. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

type ToChild = { readonly setUp: unknown } | { readonly cpu: true };
type FromChild = { readonly ready: unknown } | { readonly cpuMs: number };

/** A running child. */
export interface Child<Ready> extends AsyncDisposable {
  readonly ready: Ready;
  /** User and system time so far. */
  cpuMs(): Promise<number>;
}

/** Starts `file` and hands it `setUp`. @throws {Error} when it ends before it is ready. */
export async function startChild<Ready>(file: string, setUp: unknown): Promise<Child<Ready>> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)));
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const { ready } = (await ask(child, { setUp })) as { ready: Ready };
  return {
    ready,
    cpuMs: async () => ((await ask(child, { cpu: true })) as { cpuMs: number }).cpuMs,
    async [Symbol.asyncDispose]() {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}

/** The child's side: `start` is called once with the set-up; what it returns is told to the parent and closed at the end. */
export function serveParent<SetUp, Ready>(
  start: (setUp: SetUp) => Promise<{ readonly ready: Ready; close(): Promise<void> }>,
): void {
  let close = async (): Promise<void> => {};
  const reply = (message: FromChild) => process.send!(message);
  process.on("message", async (message: ToChild) => {
    if ("cpu" in message) return void reply({ cpuMs: ownCpuMs() });
    const started = await start(message.setUp as SetUp);
    close = started.close;
    reply({ ready: started.ready });
  });
  process.once("disconnect", async () => {
    await close();
    process.exit();
  });
}

/** User and system time of this process so far. */
export function ownCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function ask(child: ChildProcess, message: ToChild): Promise<FromChild> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error(`${child.spawnargs.at(-1)} ended.`));
    child.once("exit", ended);
    child.once("message", (answer) => {
      child.off("exit", ended);
      resolve(answer as FromChild);
    });
    child.send(message);
  });
}
