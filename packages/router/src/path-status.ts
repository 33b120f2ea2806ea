/** What `fed path` shows: every way to a hub, its state, and why. */
import type { FedError } from "@fed/core";
import type { Target } from "./dialler.js";
import type { Link } from "./link.js";

/** One way to a hub. */
export interface PathStatus {
  readonly transport: string;
  readonly state: "candidate" | "probing" | "confirmed" | "suspect" | "dead";
  /** Whether calls take it now. */
  readonly best: boolean;
  readonly rttMs: number | undefined;
  /** When the state began, Unix milliseconds. */
  readonly sinceMs: number;
  /** One line for people. */
  readonly why: string;
}

/** What is known of the ways to one hub. */
export interface PathFacts {
  readonly links: readonly Link[];
  readonly targets: readonly Target[];
  readonly best: Link | undefined;
  readonly cut: FedError | undefined;
  /** Unix milliseconds. */
  readonly nowMs: number;
}

/** One line per connection, and per address of a transport without one; best first. */
export function describePaths(facts: PathFacts): PathStatus[] {
  const { links, targets, best, cut, nowMs } = facts;
  const live = links.filter((link) => link.state !== "closed");
  const linked = new Set(live.map((link) => link.transport));
  const paths = [
    ...live.map((link) => ({ preference: link.preference, status: describeLink(link, best) })),
    ...targets
      .filter((target) => !linked.has(target.transport.name))
      .map((target) => ({ preference: target.transport.preference, status: describeTarget(target, cut, nowMs) })),
  ];
  paths.sort((a, b) => Number(b.status.best) - Number(a.status.best) || a.preference - b.preference);
  return paths.map(({ status }) => status);
}

function describeLink(link: Link, best: Link | undefined): PathStatus {
  const choice =
    link === best
      ? `calls take it (preference ${link.preference}, lowest of those that work)`
      : best && link.state === "confirmed"
        ? `standing by: ${best.transport} is preferred (${best.preference} before ${link.preference})`
        : "not used";
  return {
    transport: link.transport,
    state: link.state === "closed" ? "dead" : link.state,
    best: link === best,
    rttMs: link.rttMs,
    sinceMs: link.sinceMs,
    why: `${link.why}; ${choice}`,
  };
}

function describeTarget(target: Target, cut: FedError | undefined, nowMs: number): PathStatus {
  return {
    transport: target.transport.name,
    state: target.state === "dialling" ? "probing" : target.failures > 0 || cut ? "dead" : "candidate",
    best: false,
    rttMs: undefined,
    sinceMs: target.sinceMs,
    why: whyNot(target, cut, nowMs),
  };
}

function whyNot(target: Target, cut: FedError | undefined, nowMs: number): string {
  if (cut) return `the hub is cut off: ${cut.code}`;
  const { address, error, failures, nextAtMs } = target;
  const last = error ? `; last: ${error.code}` : "";
  if (target.state === "dialling") return `dialling ${address}${last}`;
  if (target.state === "queued") return `waiting for a free dial to ${address}${last}`;
  if (nextAtMs === undefined) return `${address} is known and not dialled${last}`;
  const inS = Math.max(0, (nextAtMs - nowMs) / 1000).toFixed(1);
  return `${failures} failed in a row at ${address}${last}; next try in ${inS} s`;
}
