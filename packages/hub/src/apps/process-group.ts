/** Groups of processes: an app and whatever it started. Children of its own that an app moves elsewhere are out of reach. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** What Linux says of one process, proc_pid_stat(5). */
export interface ProcessFacts {
  readonly pid: number;
  readonly group: number;
  readonly session: number;
  /** Clock ticks from the start of the machine to that of the process: with the pid, its identity. */
  readonly startTicks: number;
  readonly zombie: boolean;
}

/** Where a group is a group. On Windows a process stands for itself. */
export const hasGroups: boolean = process.platform !== "win32";

/** How long a group is given to end after SIGTERM, and to be gone after SIGKILL. */
const graceMs = 2_000;
const longestLookMs = 50;

/** Ends every process of the group `id`: SIGTERM, 2 s, SIGKILL. Resolves when none is left, or 2 s after SIGKILL. */
export async function endGroup(id: number): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    if (!signalGroup(id, signal)) return;
    const giveUpAt = performance.now() + graceMs;
    for (let lookMs = 2; performance.now() < giveUpAt; lookMs = Math.min(lookMs * 2, longestLookMs)) {
      // A timer that keeps the process alive: nothing else may be left that does.
      await pause(lookMs);
      if (!isGroupAlive(id)) return;
    }
  }
}

/** Sends `signal` to every process of the group; false when there is none. */
export function signalGroup(id: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(hasGroups ? -id : id, signal);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Whether a process of the group runs. Those that have ended and that nobody has waited for do not count. */
export function isGroupAlive(id: number): boolean {
  if (!signalGroup(id, 0)) return false;
  if (process.platform !== "linux") return true;
  return processes().some(({ group, zombie }) => group === id && !zombie);
}

/** Every process of the machine that can be seen; none where there is no `/proc`. */
export function processes(): ProcessFacts[] {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return [];
  }
  return names.flatMap((name) => (/^\d+$/.test(name) ? (processFacts(Number(name)) ?? []) : []));
}

/** Undefined when there is no such process, or no `/proc`. */
export function processFacts(pid: number): ProcessFacts | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The second field is the program's name in brackets, with whatever is in it.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [group, session, startTicks] = [fields[2], fields[3], fields[19]].map(Number);
  return { pid, group: group!, session: session!, startTicks: startTicks!, zombie: fields[0] === "Z" };
}

/** The environment that a process was started with; empty when there is no such process, or it is somebody else's. */
export function environmentOf(pid: number): Record<string, string> {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/environ`, "utf8");
  } catch {
    return {};
  }
  return Object.fromEntries(text.split("\0").map((entry) => entry.split(/=(.*)/s, 2) as [string, string]));
}
