/**
 * How many handshakes a hub answers. docs/spec/relay.md §5.
 *
 * Who floods takes nothing from the others: a refused handshake costs nobody's share, and the second half of what all may
 * use together is for routes that were quiet for two seconds. A relay's cluster has at most 128 sockets, so these alone
 * ask for less than the overall rate.
 */
import { type Clock, encodeBase64Url } from "@fed/core";

const perRoute = { intervalMs: 50, burst: 40 };
const overall = { intervalMs: 10, burst: 200 };
const quietMs = 2_000;
const maxRoutes = 1_024;

/** Counts handshakes per route, or per key, and in all. */
export interface HandshakeRates {
  /** Whether one more from this route, or of this key, is to be answered now. */
  allows(route: Uint8Array): boolean;
}

/** When the next one would be due if all came evenly, and when the last one came; monotonic milliseconds. */
interface Use {
  dueMs: number;
  lastMs: number;
}

/** Rates with nothing used up. */
export function createHandshakeRates(clock: Clock): HandshakeRates {
  const routes = new Map<string, Use>();
  const all: Use = { dueMs: 0, lastMs: 0 };

  return {
    allows(route) {
      const nowMs = clock.monotonicMs();
      const name = encodeBase64Url(route);
      const own = routes.get(name) ?? { dueMs: 0, lastMs: -quietMs };
      const wasQuiet = nowMs - own.lastMs >= quietMs;
      const shared = wasQuiet ? overall.burst : overall.burst / 2;
      if (!hasRoom(own, perRoute.intervalMs, perRoute.burst, nowMs)) return false;
      if (!hasRoom(all, overall.intervalMs, shared, nowMs)) return false;
      charge(own, perRoute.intervalMs, nowMs);
      charge(all, overall.intervalMs, nowMs);
      // The one used longest ago is the first in the map, and the first to be forgotten.
      routes.delete(name);
      if (routes.size >= maxRoutes) routes.delete(routes.keys().next().value!);
      routes.set(name, own);
      return true;
    },
  };
}

function hasRoom({ dueMs }: Use, intervalMs: number, burst: number, nowMs: number): boolean {
  return dueMs - nowMs <= (burst - 1) * intervalMs;
}

function charge(use: Use, intervalMs: number, nowMs: number): void {
  use.dueMs = Math.max(use.dueMs, nowMs) + intervalMs;
  use.lastMs = nowMs;
}
