/** How many handshakes a hub answers. docs/spec/relay.md §5. */
import { type Clock, encodeBase64Url } from "@fed/core";
import { createTokenBucket, type TokenBucket } from "./token-bucket.js";

const perRoute = { perSecond: 20, burst: 40 };
const overall = { perSecond: 100, burst: 200 };
const maxRoutes = 256;

/** Counts handshakes per route and in all. */
export interface HandshakeRates {
  /** Whether one more from this route is to be answered now. */
  allows(route: Uint8Array): boolean;
}

/** Rates with nothing used up. */
export function createHandshakeRates(clock: Clock): HandshakeRates {
  const routes = new Map<string, TokenBucket>();
  const all = createTokenBucket(overall, clock.monotonicMs());
  return {
    allows(route) {
      const nowMs = clock.monotonicMs();
      const name = encodeBase64Url(route);
      let bucket = routes.get(name);
      if (bucket === undefined) {
        if (routes.size >= maxRoutes) routes.delete(routes.keys().next().value!);
        bucket = createTokenBucket(perRoute, nowMs);
        routes.set(name, bucket);
      }
      return bucket.take(1, nowMs).waitMs === 0 && all.take(1, nowMs).waitMs === 0;
    },
  };
}
