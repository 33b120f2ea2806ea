/** Rate limits that are announced before they bite. docs/spec/relay.md §3. */

/** A rate: `perSecond` sustained, `burst` at once. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** A token bucket that may go into debt, so that a sender told to wait loses nothing it had already sent. */
export interface TokenBucket {
  /** Takes `amount`. `waitMs` is how long until the debt is paid (0: none); `refused` when the debt would exceed the burst. */
  take(amount: number, atMs: number): { readonly waitMs: number; readonly refused: boolean };
}

/** A full bucket. Times are monotonic milliseconds. */
export function createTokenBucket(rate: Rate, startMs: number): TokenBucket {
  let tokens = rate.burst;
  let lastMs = startMs;
  return {
    take(amount, atMs) {
      tokens = Math.min(rate.burst, tokens + (Math.max(0, atMs - lastMs) * rate.perSecond) / 1000);
      lastMs = Math.max(lastMs, atMs);
      const refused = tokens - amount < -rate.burst;
      if (!refused) tokens -= amount;
      return { waitMs: tokens >= 0 ? 0 : Math.ceil((-tokens * 1000) / rate.perSecond), refused };
    },
  };
}
