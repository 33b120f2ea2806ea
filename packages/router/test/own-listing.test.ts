/** What a hub shows of its own apps is made once for each caller, and anew as soon as anything that shapes it has changed. */
import { createTestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { Execution } from "../src/execution.js";
import { type Caller, type LocalApp, limits, type Risk, type ToolDefinition } from "../src/index.js";
import { OwnListing } from "../src/own-listing.js";
import type { SharingRequest } from "../src/ports.js";
import { sha256 } from "./fleet.js";

const ann: Caller = { operator: "ann@h", homeHub: "h", roles: ["r"], scope: ["s"], local: false, hubs: ["h"] };
const namesOf = (listing: OwnListing, caller: Caller) => listing.of(caller).apps.map(({ app }) => app);

let apps: LocalApp[];
let tools: readonly ToolDefinition[];
let risk: Risk | undefined;
let versions: { apps: number | undefined; policy: number | undefined };
let allows: (request: SharingRequest) => boolean;
let decided: number;
let listing: OwnListing;

beforeEach(() => {
  apps = ["a", "b"].map((app) => ({ app, status: "ready" }));
  tools = [{ name: "t1" }, { name: "t2" }];
  risk = undefined;
  versions = { apps: 1, policy: 1 };
  allows = () => true;
  decided = 0;
  const policy = {
    decide(request: SharingRequest) {
      decided++;
      return { allow: allows(request), rule: "test", reason: "" };
    },
    version: () => versions.policy as number,
  };
  const local = {
    list: () => apps,
    tools: () => tools,
    hints: () => ({ risk }),
    version: () => versions.apps as number,
    call: async () => ({}),
  };
  const execution = new Execution({
    policy,
    apps: local,
    revocation: { assertCaller() {}, size: 0 },
    audit: { append: async () => {} },
    clock: createTestClock(),
  });
  listing = new OwnListing({ apps: local, policy, execution, digest: sha256 });
});

describe("a hub's own listing", () => {
  it("is made once for a caller, whichever request and token it asks with", () => {
    const first = listing.of(ann);
    const decisions = decided;
    expect(decisions).toBeGreaterThan(0);
    expect(listing.of({ ...ann })).toBe(first);
    expect(listing.of({ ...ann, txn: "other", token: "tok_x" })).toBe(first);
    expect(decided).toBe(decisions);
  });

  it.each([
    ["another operator", { operator: "bob@h" }],
    ["another home hub", { homeHub: "i" }],
    ["other roles", { roles: [] }],
    ["another scope", { scope: ["s", "t"] }],
    ["an operator of this hub", { local: true }],
    ["other hops", { hubs: ["h", "i"] }],
  ])("is made anew for %s", (_what, other) => {
    allows = ({ caller }) => JSON.stringify(caller) === JSON.stringify(ann);
    expect(namesOf(listing, ann)).toEqual(["a", "b"]);
    expect(namesOf(listing, { ...ann, ...other })).toEqual([]);
    expect(namesOf(listing, ann)).toEqual(["a", "b"]);
  });

  it("is made anew as soon as the policy is another one", () => {
    expect(namesOf(listing, ann)).toEqual(["a", "b"]);
    allows = ({ app }) => app === "b";
    versions.policy = 2;
    expect(namesOf(listing, ann)).toEqual(["b"]);
  });

  it("is made anew as soon as apps, their status, tools or risks are others", () => {
    const next = () => {
      versions.apps!++;
      return listing.of(ann).apps;
    };
    listing.of(ann);
    apps = [{ app: "a", status: "failed" }];
    expect(next()).toMatchObject([{ app: "a", status: "failed", tools: [{ name: "t1" }, { name: "t2" }] }]);
    tools = [{ name: "t3" }];
    risk = "read";
    expect(next()).toMatchObject([{ tools: [{ name: "t3", risk: "read" }] }]);
  });

  it.each(["apps", "policy"] as const)("is made anew each time where nobody says when the %s change", (which) => {
    versions[which] = undefined;
    expect(namesOf(listing, ann)).toEqual(["a", "b"]);
    allows = () => false;
    expect(namesOf(listing, ann)).toEqual([]);
  });

  it("is kept for those who asked last, in bounded number and bytes", () => {
    const callerOf = (i: number) => ({ ...ann, operator: `op${i}@h` });
    const first = listing.of(callerOf(0));
    for (let i = 1; i < limits.ownListings; i++) listing.of(callerOf(i));
    expect(listing.of(callerOf(0))).toBe(first);
    const second = listing.of(callerOf(1));
    for (let i = 0; i < limits.ownListings - 1; i++) listing.of(callerOf(1000 + i));
    expect(listing.of(callerOf(1))).toBe(second);
    expect(listing.of(callerOf(0))).not.toBe(first);

    versions.apps!++;
    tools = Array.from({ length: 256 }, (_, i) => ({ name: `${"n".repeat(250)}${i}`, description: "d".repeat(512) }));
    apps = Array.from({ length: 8 }, (_, i) => ({ app: `a${i}`, status: "ready" }));
    const large = listing.of(callerOf(0));
    expect(large.bytes).toBeGreaterThan(limits.listBytes / 2);
    expect(large.bytes).toBeGreaterThanOrEqual(JSON.stringify({ apps: large.apps }).length);
    // Each has room for what a search keeps of it as well.
    const most = Math.floor(limits.ownListingBytes / (2 * large.bytes));
    for (let i = 1; i < most; i++) listing.of(callerOf(i));
    expect(listing.of(callerOf(0))).toBe(large);
    for (let i = 0; i < most; i++) listing.of(callerOf(most + i));
    expect(listing.of(callerOf(0))).not.toBe(large);
  });
});
