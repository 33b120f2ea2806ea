import { FedError } from "@fed/core";
import { createTestClock } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createRefusalLog } from "../src/refusal-log.js";

const refusal = (code: string) => new FedError({ code, message: "refused" });

describe("the refusal log", () => {
  it("writes the first of a kind at once and counts the rest, once a minute", async () => {
    const clock = createTestClock();
    const notes: object[] = [];
    const log = createRefusalLog((event) => notes.push(event), clock);
    for (let port = 1; port <= 50; port++) log.add(`192.0.2.7:${port}`, refusal("HUB_REVOKED"));
    log.add("192.0.2.7:1", refusal("LEAF_EXPIRED"));
    expect(notes).toEqual([
      { type: "peer.refused", from: "192.0.2.7", code: "HUB_REVOKED" },
      { type: "peer.refused", from: "192.0.2.7", code: "LEAF_EXPIRED" },
    ]);
    await clock.advance(60_000);
    expect(notes.slice(2)).toEqual([{ type: "peer.refused", from: "192.0.2.7", code: "HUB_REVOKED", more: 49 }]);
    log.add("192.0.2.7:9", refusal("HUB_REVOKED"));
    expect(notes).toHaveLength(4);
    log.close();
  });

  it("counts together what comes from very many places", () => {
    const notes: object[] = [];
    const log = createRefusalLog((event) => notes.push(event), createTestClock());
    for (let i = 0; i < 10_000; i++) log.add(`place${i}`, refusal("LEAF_UNTRUSTED"));
    expect(notes).toHaveLength(257);
    log.close();
    expect(notes.at(-1)).toEqual({ type: "peer.refused", from: "others", code: "LEAF_UNTRUSTED", more: 10_000 - 257 });
  });
});
