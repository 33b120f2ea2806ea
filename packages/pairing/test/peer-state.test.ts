import { readFileSync } from "node:fs";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nextPeerState, type PeerEvent, type PeerState } from "../src/index.js";

interface Vectors {
  states: PeerState[];
  events: PeerEvent[];
  valid: { state: PeerState; event: PeerEvent; next: PeerState }[];
  invalid: { state: PeerState; event: PeerEvent; code: string }[];
}
const { states, events, valid, invalid } = JSON.parse(
  readFileSync(new URL("../../../vectors/pairing/peer-state.json", import.meta.url), "utf8"),
) as Vectors;

describe("vectors/pairing/peer-state.json", () => {
  it.each(valid)("$state, $event → $next", ({ state, event, next }) => {
    expect(nextPeerState(state, event)).toBe(next);
  });

  it.each(invalid)("$state, $event is forbidden", async ({ state, event, code }) => {
    await expectCode(() => nextPeerState(state, event), code);
  });

  it("names every pair once", () => {
    console.info(`peer-state.json: ${valid.length} valid, ${invalid.length} invalid cases ran`);
    const pairs = new Set([...valid, ...invalid].map(({ state, event }) => `${state} ${event}`));
    expect(pairs.size).toBe(states.length * events.length);
    expect(valid.length + invalid.length).toBe(pairs.size);
  });
});

describe("nextPeerState", () => {
  /** The states after each of `path`; a forbidden event changes nothing. */
  function walk(from: PeerState, path: readonly PeerEvent[]): PeerState[] {
    let state = from;
    return path.map((event) => {
      try {
        state = nextPeerState(state, event);
      } catch {
        // Forbidden: the peer stays where it is.
      }
      return state;
    });
  }
  const paths = fc.array(fc.constantFrom(...events), { maxLength: 30 });

  it("never leaves revoked", () => {
    fc.assert(
      fc.property(paths, (path) => walk("revoked", path).every((state) => state === "revoked")),
      { numRuns: 200 },
    );
  });

  it("leads out of suspended only by fresh proof or revocation", () => {
    fc.assert(
      fc.property(paths, (path) => {
        const out = walk("suspended", path).findIndex((state) => state !== "suspended");
        return out < 0 || path[out] === "resume-with-proof" || path[out] === "revoke";
      }),
      { numRuns: 200 },
    );
  });

  it("makes nobody active who was not enrolled", () => {
    fc.assert(
      fc.property(paths, (path) => {
        const states = walk("proposed", path);
        const active = states.indexOf("active");
        return active < 0 || states.slice(0, active).includes("enrolled");
      }),
      { numRuns: 200 },
    );
  });
});
