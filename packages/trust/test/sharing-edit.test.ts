import { encodeBase32 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, emptyPolicy, type PolicyRequest, parsePolicy, share, unshare } from "../src/index.js";
import { policy, request } from "./sharing-arbitraries.js";

const hubId = encodeBase32(new Uint8Array(16).fill(1));
const alice = `alice@${hubId}`;
const target = fc.constantFrom("cluster", "role:ops", `principal:${alice}`, "link:acme");
const tool = fc.constantFrom(undefined, "read", "w*");

const call = (app: string, changes: Partial<PolicyRequest["caller"]> = {}): PolicyRequest => ({
  action: "call",
  app,
  tool: "read",
  risk: "read",
  caller: { operator: alice, homeHub: hubId, roles: [], local: false, ...changes },
});

describe("share", () => {
  it("writes what an operator would", () => {
    expect(share(emptyPolicy, "notes", "cluster").apps).toEqual({ notes: { share: "Cluster" } });
    expect(share(emptyPolicy, "notes", "role:ops").apps).toEqual({ notes: { share: [{ roles: ["ops"] }] } });
    expect(share(emptyPolicy, "notes", `principal:${alice}`, { tool: "read_*" }).apps).toEqual({
      notes: { share: [{ principals: [alice], tools: ["read_*"] }] },
    });
    expect(share(share(emptyPolicy, "notes", "cluster"), "notes", "link:acme").apps).toEqual({
      notes: { share: [{ hubs: ["*"] }, { links: ["acme"] }] },
    });
    expect(share(share(emptyPolicy, "notes", "cluster"), "notes", "local").apps).toEqual({
      notes: { share: "LocalOnly" },
    });
  });

  it("lets in whom it names, and is the same twice", () => {
    let policy = share(emptyPolicy, "notes", "role:ops");
    expect(share(policy, "notes", "role:ops")).toEqual(policy);
    expect(decide(policy, call("notes", { roles: ["ops"] })).allow).toBe(true);
    expect(decide(policy, call("notes")).allow).toBe(false);
    policy = share(policy, "notes", "link:acme");
    expect(decide(policy, call("notes", { link: "acme" })).allow).toBe(true);
    expect(decide(policy, call("notes", { link: "other", roles: ["ops"] })).allow).toBe(false);
  });

  it("only widens, and leaves other apps alone", () => {
    fc.assert(
      fc.property(policy, request, target, tool, (policy, request, target, tool) => {
        const after = share(policy, "notes", target, { tool });
        if (request.app !== "notes") expect(decide(after, request)).toEqual(decide(policy, request));
        if (decide(policy, request).allow) expect(decide(after, request).allow).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it.each(["", "everyone", "role:", "role", "hub:x", "local "])("refuses %j as a target", async (target) => {
    await expectCode(() => share(emptyPolicy, "notes", target), "SHARE_TARGET_MALFORMED");
    await expectCode(() => unshare(emptyPolicy, "notes", target), "SHARE_TARGET_MALFORMED");
  });

  it("refuses names that a policy could not hold", async () => {
    await expectCode(() => share(emptyPolicy, "notes", "role:Ops"), "POLICY_MALFORMED");
    await expectCode(() => share(emptyPolicy, "notes", "principal:alice"), "POLICY_MALFORMED");
    await expectCode(() => share(emptyPolicy, "notes", "cluster", { tool: "a*b" }), "POLICY_MALFORMED");
    await expectCode(() => share(emptyPolicy, "pc2/notes", "cluster"), "POLICY_MALFORMED");
    await expectCode(() => share(emptyPolicy, "__proto__", "cluster"), "POLICY_MALFORMED");
    await expectCode(() => share(emptyPolicy, "notes", "local", { tool: "read" }), "SHARE_TARGET_MALFORMED");
  });
});

describe("unshare", () => {
  it("takes back what was given, and only that", () => {
    const both = share(share(emptyPolicy, "notes", "role:ops"), "notes", "role:dev", { tool: "read" });
    expect(unshare(both, "notes", "role:ops").apps).toEqual({
      notes: { share: [{ roles: ["dev"], tools: ["read"] }] },
    });
    expect(unshare(unshare(both, "notes", "role:ops"), "notes", "role:dev").apps).toEqual({
      notes: { share: "LocalOnly" },
    });
    const shared = parsePolicy({ version: 1, apps: { notes: { share: [{ id: "team", roles: ["ops", "dev"] }] } } });
    expect(unshare(shared, "notes", "role:ops").apps).toEqual({ notes: { share: [{ id: "team", roles: ["dev"] }] } });
  });

  it("takes the cluster's access and leaves rules that ask for more than membership", () => {
    const rules = [{ hubs: ["*"] }, { hubs: ["*"], tools: ["read"] }, { hubs: ["*"], roles: ["ops"] }];
    const policy = parsePolicy({ version: 1, apps: { notes: { share: rules } } });
    expect(unshare(policy, "notes", "cluster").apps).toEqual({ notes: { share: [rules[2]] } });
  });

  it("refuses one tool of what stays shared, and share undoes that", () => {
    const policy = share(emptyPolicy, "notes", "cluster");
    const less = unshare(policy, "notes", "cluster", { tool: "delete_*" });
    expect(less.apps).toEqual({ notes: { share: "Cluster", deny: [{ hubs: ["*"], tools: ["delete_*"] }] } });
    expect(decide(less, { ...call("notes"), tool: "delete_all" }).rule).toBe("notes: deny[0]");
    expect(decide(less, { ...call("notes", { local: true }), tool: "delete_all" }).allow).toBe(true);
    expect(unshare(less, "notes", "cluster", { tool: "delete_*" })).toEqual(less);
    const again = share(less, "notes", "cluster", { tool: "delete_*" });
    expect(decide(again, { ...call("notes"), tool: "delete_all" }).allow).toBe(true);
  });

  it("takes back one tool that was given by itself", () => {
    const policy = share(emptyPolicy, "notes", "role:ops", { tool: "read" });
    expect(unshare(policy, "notes", "role:ops", { tool: "read" }).apps).toEqual({ notes: { share: "LocalOnly" } });
  });

  it("never widens, and leaves no rule that names the target", () => {
    fc.assert(
      fc.property(policy, request, target, tool, (policy, request, target, tool) => {
        const after = unshare(policy, "notes", target, { tool });
        if (decide(after, request).allow) expect(decide(policy, request).allow).toBe(true);
        const name = target.slice(target.indexOf(":") + 1);
        if (tool === undefined && target !== "cluster") {
          expect(JSON.stringify(after.apps.notes!.share)).not.toContain(`"${name}"`);
        }
      }),
      { numRuns: 200 },
    );
  });
});
