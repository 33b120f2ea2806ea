import { readFileSync } from "node:fs";
import { encodeUtf8, parseJson } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decide, emptyPolicy, type PolicyRequest, parsePolicy, type SharingPolicy } from "../src/index.js";
import { policy, request, rule } from "./sharing-arbitraries.js";

interface PolicyVectors {
  readonly policy: SharingPolicy;
  readonly cases: readonly { name: string; request: PolicyRequest; allow: boolean; rule: string }[];
  readonly invalid: readonly { name: string; policy: unknown; code: string }[];
}

describe("vectors/trust/policy.json", () => {
  const file = JSON.parse(
    readFileSync(new URL("../../../vectors/trust/policy.json", import.meta.url), "utf8"),
  ) as PolicyVectors;
  console.info(`vectors/trust/policy.json: ${file.cases.length} decisions, ${file.invalid.length} refused policies`);
  const parsed = parsePolicy(file.policy);

  it.each(file.cases.map((one) => [one.name, one] as const))("%s", (_, { request, allow, rule }) => {
    const decision = decide(parsed, request);
    expect(decision).toEqual({ allow, rule, reason: expect.stringMatching(/^\S.*\.$/) });
  });

  it.each(file.invalid.map((one) => [one.name, one] as const))("refuses: %s", async (_, { policy, code }) => {
    await expectCode(() => parsePolicy(policy), code);
  });
});

describe("decide", () => {
  it("shares nothing by default", () => {
    fc.assert(
      fc.property(request, (request) => {
        expect(decide(emptyPolicy, request).allow).toBe(request.caller.local && request.caller.link === undefined);
      }),
      { numRuns: 100 },
    );
  });

  it("does not depend on the order of rules or of their entries", () => {
    fc.assert(
      fc.property(policy, request, (policy, request) => {
        expect(decide(reversed(policy), request).allow).toBe(decide(policy, request).allow);
      }),
      { numRuns: 200 },
    );
  });

  it("never widens by one more deny rule, and a matching one wins", () => {
    fc.assert(
      fc.property(policy, request, rule, (policy, request, extra) => {
        const own = policy.apps[request.app];
        if (!own) return;
        const denied = { ...policy.apps, [request.app]: { ...own, deny: [...(own.deny ?? []), extra] } };
        const before = decide(policy, request);
        const after = decide({ version: 1, apps: denied }, request);
        if (!before.allow) expect(after.allow).toBe(false);
        if (after.rule.includes("deny[")) expect(after.allow).toBe(false);
        const everything = { ...policy.apps, [request.app]: { ...own, deny: [{ tools: ["*"] }] } };
        expect(decide({ version: 1, apps: everything }, request).allow).toBe(false);
      }),
      { numRuns: 200 },
    );
  });

  it("never widens when the request says less", () => {
    fc.assert(
      fc.property(policy, request, (policy, request) => {
        const call = { ...request, action: "call" as const };
        for (const less of [
          { ...call, tool: undefined },
          { ...call, risk: undefined },
        ]) {
          if (decide(policy, less).allow) expect(decide(policy, call).allow).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("shows an app if and only if some call of some tool of it is allowed", () => {
    const tools = ["read", "read_page", "read_pages", "write", "w", "zzz"];
    fc.assert(
      fc.property(policy, request, (policy, request) => {
        const { app, caller } = request;
        const listed = decide(policy, { action: "list", app, caller });
        const calls = tools.flatMap((tool) =>
          (["read", "write", "execute"] as const).map((risk) =>
            decide(policy, { action: "call", app, caller, tool, risk }),
          ),
        );
        expect(listed.allow).toBe(calls.some((decision) => decision.allow));
      }),
      { numRuns: 200 },
    );
  });

  it("lists a tool if and only if it may be called", () => {
    fc.assert(
      fc.property(policy, request, fc.constantFrom("read", "read_page", "w"), (policy, request, tool) => {
        const [list, call] = (["list", "call"] as const).map((action) => decide(policy, { ...request, action, tool }));
        expect(list).toEqual(call);
      }),
      { numRuns: 200 },
    );
  });

  it("changes nothing", () => {
    fc.assert(
      fc.property(policy, request, (policy, request) => {
        const before = JSON.stringify([policy, request]);
        decide(policy, request);
        expect(JSON.stringify([policy, request])).toBe(before);
      }),
      { numRuns: 50 },
    );
  });

  it("denies whatever it cannot evaluate, and never throws", () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (policy, request) => {
        expect(decide(policy as SharingPolicy, request as PolicyRequest)).toMatchObject({
          allow: false,
          rule: "evaluation-error",
        });
      }),
      { numRuns: 200 },
    );
  });
});

describe("parsePolicy", () => {
  it("gives back what it was given", () => {
    fc.assert(
      fc.property(policy, (policy) => {
        expect(parsePolicy(structuredClone(policy))).toEqual(policy);
      }),
      { numRuns: 100 },
    );
  });

  it("refuses an app named __proto__ as JSON spells it", async () => {
    const json = parseJson(encodeUtf8('{"version":1,"apps":{"__proto__":{"share":"Cluster"}}}'), { maxBytes: 100 });
    await expectCode(() => parsePolicy(json), "POLICY_MALFORMED");
  });

  it("ends in a typed error whatever it is given", async () => {
    await fc.assert(
      fc.asyncProperty(fc.anything(), async (json) => {
        await expectCode(() => parsePolicy(json), "POLICY_MALFORMED");
      }),
      { numRuns: 100 },
    );
  });
});

function reversed(value: SharingPolicy): SharingPolicy {
  const turn = (part: unknown): unknown => {
    if (Array.isArray(part)) return part.map(turn).reverse();
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, turn(inner)]));
  };
  return turn(value) as SharingPolicy;
}
