import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { actionOf, limits } from "../src/index.js";
import { toolOf } from "../src/request-facts.js";

describe("a request", () => {
  it.each([
    ["of what there is", "tools/list", {}, "list"],
    ["to hear of lists", "subscriptions/listen", { notifications: { toolsListChanged: true } }, "list"],
    ["to hear of nothing", "subscriptions/listen", {}, "list"],
    ["to hear of resources", "subscriptions/listen", { notifications: { resourceSubscriptions: ["a:b"] } }, "call"],
    ["to hear of what an extension has", "subscriptions/listen", { notifications: { taskIds: ["1"] } }, "call"],
    ["of an extension", "x/y", {}, "call"],
  ])("%s is decided as such", (_what, method, params, action) => expect(actionOf({ method, params })).toBe(action));

  it("names a tool by a text that a tool's name can be", async () => {
    const named = (name: unknown) => () => toolOf({ method: "tools/call", params: { name } });
    expect(named("x".repeat(limits.toolNameChars))()).toHaveLength(limits.toolNameChars);
    for (const name of [undefined, 7, ["x"], { toString: "x" }, "x".repeat(limits.toolNameChars + 1)]) {
      await expectCode(named(name), "REQUEST_MALFORMED");
    }
    for (const params of [undefined, null, "x", 7]) {
      await expectCode(() => toolOf({ method: "tools/call", params }), "REQUEST_MALFORMED");
    }
    expect(toolOf({ method: "tools/list", params: { name: "x" } })).toBeUndefined();
  });
});
