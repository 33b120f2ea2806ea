/** What a process takes of the machine, read from outside (Linux): of any process, also of those that cannot tell. */
import { readdirSync, readFileSync } from "node:fs";

/** Linux counts CPU time in hundredths of a second, whatever the kernel's own tick. */
const msPerTick = 10;

/** User and system time of `pid` alone so far, in steps of 10 ms. */
export function cpuMsOf(pid: number): number {
  // The name, in brackets, may hold spaces and brackets; the third field begins behind the last one.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * msPerTick;
}

/** User and system time of the children of `pid` that run now, and of theirs. */
export function descendantsCpuMs(pid: number): number {
  let sum = 0;
  for (const child of descendantsOf(pid)) sum += cpuMsOf(child);
  return sum;
}

/** Memory of `pid` alone that is resident now. */
export function rssMiBOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024;
}

/** The children of `pid`, and theirs. */
export function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").split(" "))
      .filter(Boolean)
      .map(Number);
  } catch {
    return []; // It has ended meanwhile.
  }
}
