/** One clock for all open responses: clients and proxies give up on silence. */
import { LiveSet } from "@fed/core";

/** Something that can be kept alive. */
interface Kept {
  /** Ten seconds are over, or fewer the first time. */
  tick(): void;
}

const everyMs = 10_000;

const open = new LiveSet<Kept>();
let timer: NodeJS.Timeout | undefined;

/** Keeps `response` alive. @returns its place, to let go of it. */
export function keepAlive(response: Kept): number {
  timer ??= setInterval(tick, everyMs).unref();
  return open.add(response);
}

/** The response has ended. */
export function letGo(place: number): void {
  open.delete(place);
}

function tick(): void {
  for (const response of open) response.tick();
  if (open.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
