/** What may be sent again when nobody knows whether it arrived. */
import type { Caller, Router, ToolSummary } from "@fed/router";
import { describe, expect, it } from "vitest";
import { FleetCatalogue, type FleetCatalogueOptions } from "../../src/catalogue/fleet-catalogue.js";

const caller = { operator: "op" } as Caller;
const hash = "h".repeat(43);
const tools: Readonly<Record<string, ToolSummary>> = {
  look: { name: "look", risk: "read", hash },
  set: { name: "set", risk: "write", idempotent: true, hash },
  send: { name: "send", risk: "write", hash },
  unrated: { name: "unrated", hash },
};
const catalogue = new FleetCatalogue({
  selfId: "self",
  router: () => ({ tool: (_caller, { tool }) => tools[tool] }) as Router,
} as FleetCatalogueOptions);
const repeatable = (method: string, params = {}, hub = "other") =>
  catalogue.repeatable(caller, hub, { app: "app", method, params });

describe("a request that may have arrived is sent again", () => {
  it.each([
    ["look", true],
    ["set", true],
    ["send", false],
    ["unrated", false],
    ["unheard-of", false],
  ])("if it calls %s, by what its owner says: %s", (name, again) => {
    expect(repeatable("tools/call", { name })).toBe(again);
  });

  it("only to another hub", () => {
    expect(repeatable("tools/call", { name: "look" }, "self")).toBe(false);
  });

  it.each([
    ["tools/list", true],
    ["resources/read", true],
    ["prompts/get", true],
    ["tasks/get", true],
    ["tasks/cancel", false],
    ["tasks/update", false],
    ["subscriptions/listen", false],
    ["vendor/anything", false],
  ])("if MCP says of %s that it changes nothing: %s", (method, again) => {
    expect(repeatable(method)).toBe(again);
  });
});
