/** Several addresses of one hub tried side by side until one answers, after RFC 8305 (Happy Eyeballs). */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { abortedError, type Clock, type FedError, type Timer, toFedError } from "@fed/core";
import type { Endpoint } from "./address.js";

/** How one attempt of a race runs. */
export interface RaceEntry {
  /** Aborts when the race is over. */
  readonly signal: AbortSignal;
  /** What is left of the time for all. */
  readonly timeoutMs: number;
  /**
   * Resolves when this attempt may finish: one at a time, so that no other end ever believes in a connection that loses.
   * Rejects when the race is over.
   */
  finish(): Promise<void>;
}

/** Options of {@link race}. */
export interface RaceOptions {
  readonly clock: Clock;
  /** For everything. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** How long an attempt goes alone before the next begins; one that fails sooner makes way at once. */
const staggerMs = 250;
const maxAddressesPerName = 8;

/**
 * The first of `attempt` over `endpoints`, begun 250 ms apart. The others are aborted.
 * @throws {FedError} ABORTED; else what says most of why all failed: a refusal before silence.
 */
export async function race<T>(
  endpoints: readonly Endpoint[],
  attempt: (endpoint: Endpoint, entry: RaceEntry) => Promise<T>,
  { clock, timeoutMs, signal }: RaceOptions,
): Promise<T> {
  const over = new AbortController();
  const running = signal ? AbortSignal.any([signal, over.signal]) : over.signal;
  const endsAtMs = clock.monotonicMs() + timeoutMs;
  const errors: FedError[] = [];
  let finishing: Promise<unknown> = Promise.resolve();

  return new Promise<T>((resolve, reject) => {
    let next = 0;
    let stagger: Timer | undefined;
    begin();

    function begin(): void {
      stagger?.cancel();
      const endpoint = endpoints[next++];
      if (!endpoint || running.aborted) return;
      if (next < endpoints.length) stagger = clock.setTimer(staggerMs, begin);
      const run = Promise.withResolvers<void>();
      const finish = async (): Promise<void> => {
        const before = finishing;
        finishing = before.then(() => run.promise);
        await before;
        if (running.aborted) throw abortedError(running);
      };
      attempt(endpoint, { signal: running, timeoutMs: Math.max(0, endsAtMs - clock.monotonicMs()), finish })
        .then(won, (cause: unknown) => lost(toFedError(cause)))
        .finally(run.resolve);
    }

    function won(value: T): void {
      stagger?.cancel();
      resolve(value);
      over.abort();
    }

    function lost(error: FedError): void {
      errors.push(error);
      if (signal?.aborted) {
        stagger?.cancel();
        reject(abortedError(signal));
      } else if (errors.length === endpoints.length) {
        reject(errors.find(({ code }) => code !== "UNREACHABLE") ?? errors[0]!);
      } else if (errors.length === next) {
        begin();
      }
    }
  });
}

/**
 * Every address of `endpoints`, names looked up, IPv6 and IPv4 in turn beginning with IPv6; without repetitions. Empty
 * when no name could be resolved in time.
 */
export async function resolveEndpoints(
  endpoints: readonly Endpoint[],
  { clock, timeoutMs, signal }: RaceOptions,
): Promise<Endpoint[]> {
  const late = Promise.withResolvers<Endpoint[]>();
  const giveUp = (): void => late.resolve([]);
  const timer = clock.setTimer(timeoutMs, giveUp);
  signal?.addEventListener("abort", giveUp, { once: true });
  const found = await Promise.all(endpoints.map((endpoint) => Promise.race([lookUp(endpoint), late.promise])));
  timer.cancel();
  signal?.removeEventListener("abort", giveUp);
  const unique = [...new Map(found.flat().map((it) => [`${it.host} ${it.port}`, it])).values()];
  const v6 = unique.filter(({ host }) => isIP(host) === 6);
  const v4 = unique.filter(({ host }) => isIP(host) === 4);
  const turns = Array.from({ length: Math.max(v6.length, v4.length) }, (_, i) => [v6[i], v4[i]]);
  return turns.flat().filter((endpoint) => endpoint !== undefined);
}

async function lookUp({ host, port }: Endpoint): Promise<Endpoint[]> {
  if (isIP(host)) return [{ host, port }];
  // A name that means nothing is an address at which nobody is.
  const addresses = await lookup(host, { all: true, order: "verbatim" }).catch(() => []);
  return addresses.slice(0, maxAddressesPerName).map(({ address }) => ({ host: address, port }));
}
