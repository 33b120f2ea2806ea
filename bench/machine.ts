/** The machine that numbers come from. */
import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";

/** One line: processor, cores, memory, system, Node, and how busy it was before the run. */
export function describeMachine(): string {
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const cores = `${availableParallelism()} cores`;
  const busy = `load average before ${loadavg()[0]!.toFixed(2)}`;
  return [cpus()[0]?.model.trim(), cores, memory, `${type()} ${release()}`, `Node ${process.version}`, busy].join(", ");
}
