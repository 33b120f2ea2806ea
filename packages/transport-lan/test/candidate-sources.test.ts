import type { Candidate } from "@fed/core";
import { describe, expect, it } from "vitest";
import { joinSources } from "../src/candidate-sources.js";

describe("an address from several sources", () => {
  it("stays until the last of them withdraws it", () => {
    const seen: string[] = [];
    const report = joinSources(({ source, present }) => seen.push(`${present ? "" : "-"}${source}`));
    const tell = (source: Candidate["source"], present: boolean) =>
      report({ transport: "lan", address: "192.0.2.1:7443", source, present });
    tell("static", true);
    tell("mdns", true);
    tell("mdns", false);
    expect(seen.splice(0)).toEqual(["static", "mdns"]);
    tell("mdns", true);
    tell("peer", true);
    tell("static", false);
    tell("peer", false);
    expect(seen.splice(0)).toEqual(["mdns", "peer"]);
    tell("mdns", false);
    expect(seen).toEqual(["-mdns"]);
  });
});
