/** What an announcement says of its cluster: a tag that members know again, that changes every day, and that tells nobody else anything. */
import { createHmac } from "node:crypto";
import type { DiscoveryOptions } from "./discovery.js";

const dayMs = 24 * 60 * 60_000;
const tagBytes = 8;

/**
 * Tags derived from a key that only members hold: 16 hex digits of HMAC-SHA-256 over the day since 1970 in UTC, under
 * HMAC-SHA-256(`clusterKey`, "fed-lan-tag/1"). Yesterday's and tomorrow's are accepted too, so that clocks may differ by a
 * day and nobody is lost at midnight.
 */
export function createClusterTags(clusterKey: Uint8Array): Pick<DiscoveryOptions, "clusterTag" | "acceptedTags"> {
  const key = createHmac("sha256", clusterKey).update("fed-lan-tag/1").digest();
  /** Asked for with every packet, so it is kept for the day. */
  let accepted: { day: number; tags: readonly [string, string, string] } | undefined;

  function tagOf(day: number): string {
    return createHmac("sha256", key)
      .update(String(day))
      .digest("hex")
      .slice(0, 2 * tagBytes);
  }

  function tagsAt(atMs: number): readonly [string, string, string] {
    const day = Math.floor(atMs / dayMs);
    if (accepted?.day !== day) accepted = { day, tags: [tagOf(day - 1), tagOf(day), tagOf(day + 1)] };
    return accepted.tags;
  }

  return { clusterTag: (atMs) => tagsAt(atMs)[1], acceptedTags: tagsAt };
}
