/** Arguments that a tool wants repeated in HTTP headers (SEP-2243), on the way in and on the way to the app. */
import { getRequestListener } from "@hono/node-server";
import { createMcpHandler, fromJsonSchema, McpServer } from "@modelcontextprotocol/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";
import { connectAgent } from "./agents.js";
import { Apps } from "./apps.js";
import { type Endpoint, modern } from "./raw-agent.js";

const apps = new Apps();
const fleet = new TestFleet();
const http = { host: "127.0.0.1", port: 0 };
let header = "Region";
let hubs: Record<"own" | "second", Hub>;

beforeAll(async () => {
  const { fetch } = createMcpHandler(
    () => {
      const server = new McpServer({ name: "mirror", version: "1" });
      const region = { type: "string", "x-mcp-header": header };
      const inputSchema = fromJsonSchema<{ region?: string }>({ type: "object", properties: { region } } as never);
      server.registerTool("mirror", { inputSchema }, ({ region }) => ({
        content: [{ type: "text", text: `${header} ${region}` }],
      }));
      return server;
    },
    { legacy: "reject" },
  );
  const app = await apps.listen(getRequestListener((request) => fetch(request)));
  const { pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: { app } } });
  await pc2.sharing.share("app", "cluster");
  hubs = { own: pc2, second: pc1 };
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

describe.each(["own", "second"] as const)("through the %s hub", (where) => {
  let endpoint: Endpoint;
  beforeAll(async () => {
    const hub = hubs[where];
    const { token } = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    endpoint = { url: `${hub.url}/apps/pc2/app/mcp`, token };
  });
  const call = (region: string | undefined, headers: Record<string, string> = {}) =>
    modern(endpoint, "tools/call", { name: "mirror", arguments: { region } }, { headers });
  const said = (text: string) => ({ result: { content: [{ text }] } });

  it("an app gets the headers it wants, whatever the agent speaks", async () => {
    for (const kind of ["old", "new"] as const) {
      await using agent = await connectAgent(kind, endpoint);
      await agent.request("tools/list");
      expect(await agent.call("mirror", { region: "Zürich " })).toBe("Region Zürich ");
    }
  });

  it("a header that says other than the body is refused, once the definition was shown", async () => {
    await modern(endpoint, "tools/list");
    const mismatch = { status: 400, last: { error: { code: -32020 } } };
    expect(await call("eu")).toMatchObject(mismatch);
    expect(await call("eu", { "Mcp-Param-Region": "us" })).toMatchObject(mismatch);
    expect(await call("eu", { "Mcp-Param-Region": "=?base64?###?=" })).toMatchObject(mismatch);
    expect((await call("eu", { "Mcp-Param-Region": "eu" })).last).toMatchObject(said("Region eu"));
    expect((await call("eu", { "mcp-param-region": "=?base64?ZXU=?=" })).last).toMatchObject(said("Region eu"));
    expect((await call(undefined)).last).toMatchObject(said("Region undefined"));
  });

  it("a definition that changed unnoticed is read again", async () => {
    await modern(endpoint, "tools/list");
    header = header === "Region" ? "Zone" : "Region";
    const before = header === "Region" ? "Zone" : "Region";
    expect((await call("eu", { [`Mcp-Param-${before}`]: "eu" })).last).toMatchObject(said(`${header} eu`));
    header = "Region";
    await modern(endpoint, "tools/list");
    expect((await call("eu", { "Mcp-Param-Region": "eu" })).last).toMatchObject(said("Region eu"));
  });
});
