/** A process of its own: it is handed a set-up, says when it is ready, works, tells its CPU time, and ends when its parent lets go. */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";

type ToChild = { readonly setUp: unknown } | { readonly cpu: true } | { readonly work: unknown };
type FromChild =
  | { readonly ready: unknown }
  | { readonly cpuMs: number }
  | { readonly done: unknown }
  | { readonly failed: string };

/** A running child. */
export interface Child<Ready, Work = never, Done = never> extends AsyncDisposable {
  readonly ready: Ready;
  readonly pid: number;
  /** User and system time so far. */
  cpuMs(): Promise<number>;
  /** Hands it work and waits for the result. One at a time. @throws {Error} with the message of what it threw. */
  work(work: Work): Promise<Done>;
}

/** Starts `file` and hands it `setUp`. @throws {Error} when it ends before it is ready, or with what kept it from it. */
export async function startChild<Ready, Work = never, Done = never>(
  file: string,
  setUp: unknown,
): Promise<Child<Ready, Work, Done>> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)));
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  async function end(): Promise<void> {
    if (child.connected) child.disconnect();
    await exited;
  }
  try {
    const { ready } = (await ask(child, { setUp })) as { ready: Ready };
    return {
      ready,
      pid: child.pid!,
      cpuMs: async () => ((await ask(child, { cpu: true })) as { cpuMs: number }).cpuMs,
      work: async (work) => ((await ask(child, { work })) as { done: Done }).done,
      [Symbol.asyncDispose]: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The child's side: `start` is called once with the set-up; what it returns is told to the parent and closed at the end. */
export function serveParent<SetUp, Ready, Work = never, Done = never>(
  start: (setUp: SetUp) => Promise<{ readonly ready: Ready; close(): Promise<void>; work?(work: Work): Promise<Done> }>,
): void {
  let started: Awaited<ReturnType<typeof start>> | undefined;
  async function answer(message: ToChild): Promise<FromChild> {
    if ("cpu" in message) return { cpuMs: ownCpuMs() };
    if ("work" in message) return { done: await started!.work!(message.work as Work) };
    started = await start(message.setUp as SetUp);
    return { ready: started.ready };
  }
  process.on("message", async (message: ToChild) => {
    process.send!(await answer(message).catch((error: Error): FromChild => ({ failed: error.message })));
  });
  process.once("disconnect", async () => {
    await started?.close();
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
    child.once("message", (answer: FromChild) => {
      child.off("exit", ended);
      if ("failed" in answer) reject(new Error(`${child.spawnargs.at(-1)}: ${answer.failed}`));
      else resolve(answer);
    });
    child.send(message);
  });
}
