import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createClusterTags } from "../src/cluster-tag.js";

const hourMs = 3_600_000;
const midnightMs = Date.UTC(2030, 5, 2);
const key = new Uint8Array(32).fill(7);

describe("the cluster's tag", () => {
  it("is HMAC-SHA-256 of the day, cut to 8 bytes", () => {
    const tagKey = createHmac("sha256", key).update("fed-lan-tag/1").digest();
    const expected = createHmac("sha256", tagKey).update("22067").digest("hex").slice(0, 16);
    expect(createClusterTags(key).clusterTag(midnightMs)).toBe(expected);
  });

  it("changes at midnight in UTC and not before; other keys have others", () => {
    const { clusterTag } = createClusterTags(key);
    expect(clusterTag(midnightMs - 1)).toBe(clusterTag(midnightMs - 24 * hourMs));
    expect(clusterTag(midnightMs)).not.toBe(clusterTag(midnightMs - 1));
    expect(createClusterTags(new Uint8Array(32)).clusterTag(midnightMs)).not.toBe(clusterTag(midnightMs));
  });

  it("is known again by members whose clocks are up to a day apart, around midnight too, and by nobody later", () => {
    const [a, b] = [createClusterTags(key), createClusterTags(key)];
    for (const atMs of [midnightMs - 1, midnightMs, midnightMs + 12 * hourMs]) {
      for (const skewMs of [-24 * hourMs, -1, 0, 1, 24 * hourMs]) {
        expect(b.acceptedTags(atMs + skewMs)).toContain(a.clusterTag(atMs));
      }
      expect(b.acceptedTags(atMs + 48 * hourMs)).not.toContain(a.clusterTag(atMs));
    }
  });
});
