/** Random policies and requests over so few names that they meet often. */
import { encodeBase32 } from "@fed/core";
import fc from "fast-check";
import type { PolicyRequest, Rule, SharingPolicy } from "../src/index.js";

const hubIds = [1, 2].map((byte) => encodeBase32(new Uint8Array(16).fill(byte)));
const principals = hubIds.flatMap((hubId) => [`alice@${hubId}`, `bob@${hubId}`]);
const roles = ["ops", "dev"];
const links = ["acme", "other"];

const some = (names: readonly string[]) => fc.subarray([...names], { minLength: 1 });
const conditions = {
  roles: some(roles),
  principals: some(principals),
  links: some(links),
  hubs: some(["*", ...hubIds]),
  tools: some(["read", "read_*", "read_page", "write", "w*", "*"]),
  risk: fc.subarray(["read", "write", "execute"] as const, { minLength: 1 }),
};

/** Any rule with a condition. */
export const rule: fc.Arbitrary<Rule> = fc
  .record(conditions, { requiredKeys: [] })
  .filter((rule) => Object.keys(rule).length > 0) as fc.Arbitrary<Rule>;

const allowRule = rule.filter((rule) => Boolean(rule.roles ?? rule.principals ?? rule.links ?? rule.hubs));

const appPolicy = fc.record(
  {
    share: fc.oneof(
      fc.constantFrom("LocalOnly" as const, "Cluster" as const),
      fc.array(allowRule, { minLength: 1, maxLength: 4 }),
    ),
    deny: fc.array(rule, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: ["share"] },
);

export const policy: fc.Arbitrary<SharingPolicy> = fc.record({
  version: fc.constant(1 as const),
  apps: fc.record({ notes: appPolicy, wiki: appPolicy }, { requiredKeys: [] }),
}) as fc.Arbitrary<SharingPolicy>;

export const request: fc.Arbitrary<PolicyRequest> = fc.record({
  action: fc.constantFrom("list" as const, "call" as const),
  app: fc.constantFrom("notes", "wiki", "mail"),
  tool: fc.option(fc.constantFrom("read", "read_page", "write", "zzz"), { nil: undefined }),
  risk: fc.option(fc.constantFrom("read" as const, "write" as const, "execute" as const), { nil: undefined }),
  caller: fc.constantFrom(...principals).chain((operator) =>
    fc.record({
      operator: fc.constant(operator),
      homeHub: fc.constant(operator.split("@")[1]!),
      roles: fc.subarray(roles),
      local: fc.boolean(),
      link: fc.option(fc.constantFrom(...links), { nil: undefined }),
    }),
  ),
});
