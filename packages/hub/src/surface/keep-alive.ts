/** One clock for all open responses: clients and proxies give up on silence. */

/** Something that can be kept alive. */
interface Kept {
  comment(): void;
}

/** A response hears of the clock 10 to 20 s after it began, and then every 10 s. */
const everyMs = 10_000;

const waiting = new Set<Kept>();
const old = new Set<Kept>();
let timer: NodeJS.Timeout | undefined;

/** Keeps `response` alive until it is let go of. */
export function keepAlive(response: Kept): void {
  waiting.add(response);
  timer ??= setInterval(tick, everyMs).unref();
}

/** The response has ended. */
export function letGo(response: Kept): void {
  if (!waiting.delete(response)) old.delete(response);
}

function tick(): void {
  for (const response of old) response.comment();
  for (const response of waiting) old.add(response);
  waiting.clear();
  if (old.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
