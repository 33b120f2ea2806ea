/** Apps over HTTP that have turned bad, as the agents of their hub see them. */
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { startWebApp } from "./apps/web-app.js";
import { LegacyAgent, modern } from "./eras/raw-agent.js";
import { TestFleet } from "./fleet.js";

const http = { host: "127.0.0.1", port: 0 };

async function hubOf(fleet: TestFleet, url: string) {
  const hub = await fleet.hub("pc1", { http, apps: { web: { url } } });
  await hub.sharing.share("web", "local");
  const { token } = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  return { hub, endpoint: { url: `${hub.url}/apps/pc1/web/mcp`, token } };
}

describe("an app that", () => {
  it("answers and reports so deeply nested that nobody can pass it on ends that call alone, at once", async () => {
    await using web = await startWebApp();
    const deep = `${"[".repeat(100_000)}${"]".repeat(100_000)}`;
    web.behaviour = (_request, response, { method, id }) => {
      if (method !== "tools/call") return false;
      const log = `{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":${deep}}}`;
      const result = `{"jsonrpc":"2.0","id":${id},"result":{"content":[],"structuredContent":{"a":${deep}}}}`;
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(`data: ${log}\n\ndata: ${result}\n\n`);
      return true;
    };
    await using fleet = new TestFleet();
    const { endpoint } = await hubOf(fleet, web.url);
    const failed = { code: -31_000, data: { code: "APP_FAILED" } };
    expect((await modern(endpoint, "tools/call", { name: "say" })).last.error).toMatchObject(failed);
    const agent = await LegacyAgent.open(endpoint);
    expect((await agent.request("tools/call", { name: "say" })).last.error).toMatchObject(failed);
    web.behaviour = undefined;
    expect((await modern(endpoint, "tools/call", { name: "say" })).last.result).toMatchObject({ content: [{}] });
  });

  it("has an error of its own with a number of the later revision's is not called twice", async () => {
    await using web = await startWebApp();
    const error = { code: -32_020, message: "the effect took place, and then something went wrong" };
    web.behaviour = (_request, response, { method, id }) => {
      if (method !== "tools/call") return false;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, error }));
      return true;
    };
    await using fleet = new TestFleet();
    const { endpoint } = await hubOf(fleet, web.url);
    expect((await modern(endpoint, "tools/call", { name: "say" })).last.error).toEqual(error);
    expect(web.heard.filter(({ method }) => method === "tools/call")).toHaveLength(1);
  });

  it("has tools without end is described by an error, soon", async () => {
    await using web = await startWebApp();
    const tools = Array.from({ length: 4 }, (_, i) => ({ name: `t${i}`, description: "x".repeat(256 * 1024) }));
    web.behaviour = (_request, response, { method, id }) => {
      if (method !== "tools/list") return false;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ jsonrpc: "2.0", id, result: { tools, nextCursor: "more" } }));
      return true;
    };
    await using fleet = new TestFleet();
    const { hub } = await hubOf(fleet, web.url);
    const operator = hub.operators.local("ann");
    await expectCode(hub.apps.describe({ app: "web" }, { operator }), "RESULT_TOO_LARGE");
    expect(web.heard.filter(({ method }) => method === "tools/list").length).toBeLessThan(10);
  });
});
