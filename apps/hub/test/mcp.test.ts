import { Client, type ClientOptions } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cli, eventually, Home, isAlive } from "./home.js";

const eras: Record<string, ClientOptions> = {
  "2025-11-25": {},
  "2026-07-28": { versionNegotiation: { mode: { pin: "2026-07-28" } } },
};

const home = new Home();
beforeAll(() => home.pair());
afterAll(() => home[Symbol.asyncDispose]());

/** An official client that has started `fed mcp` for the hub `pc1` of `at`. */
async function connect(
  options: ClientOptions,
  at = home,
): Promise<{ client: Client; transport: StdioClientTransport }> {
  const client = new Client({ name: "test", version: "1.0.0" }, options);
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [cli, "--dir", at.path("pc1"), "mcp"],
    stderr: "inherit",
  });
  await client.connect(transport);
  return { client, transport };
}

function call(tool: string, args: object = {}) {
  return { name: "app.call", arguments: { hub: "pc2", app: "notes", tool, arguments: args } };
}

describe.each(Object.entries(eras))("fed mcp in %s", (revision, options) => {
  let client: Client;
  let transport: StdioClientTransport;
  beforeAll(async () => {
    ({ client, transport } = await connect(options));
  });
  afterAll(() => client.close());

  it("is the hub's surface", async () => {
    expect(client.getNegotiatedProtocolVersion()).toBe(revision);
    expect(client.getInstructions()).toContain("apps.list");
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name).sort()).toEqual([
      "app.call",
      "apps.describe",
      "apps.launch",
      "apps.list",
      "apps.search",
      "apps.stop",
    ]);
    const { structuredContent } = await client.callTool({ name: "apps.list", arguments: {} });
    expect(structuredContent).toMatchObject({ apps: [{ hub: "pc1" }, { hub: "pc2", app: "notes", path: "lan" }] });
  });

  it("calls an app of another hub, with progress", async () => {
    const seen: string[] = [];
    // The SDK's own `onprogress` forgets what comes just before the result.
    client.setNotificationHandler(
      "notifications/progress",
      ({ params: { progressToken, progress, total, message } }) => {
        seen.push(`${progressToken} ${progress}/${total} ${message}`);
      },
    );
    const result = await client.callTool({ ...call("count", { to: 3 }), _meta: { progressToken: "mine" } });
    expect(result.content).toEqual([{ type: "text", text: "counted" }]);
    await eventually(() => expect(seen).toEqual(["mine 1/3 step 1", "mine 2/3 step 2", "mine 3/3 step 3"]));
  });

  it("cancels a call all the way to the app", async () => {
    const before = home.heard("pc2").length;
    const cancel = new AbortController();
    const outcome = client.callTool(call("wait"), { signal: cancel.signal }).then(
      () => "result",
      () => "cancelled",
    );
    const since = () => home.heard("pc2").slice(before);
    await eventually(() => expect(since()).toContain("waiting"));
    cancel.abort();
    expect(await outcome).toBe("cancelled");
    await eventually(() => expect(since()).toContain("cancelled"));
  });

  it("hands on what the federation refuses as a tool result with its code", async () => {
    const result = await client.callTool({ name: "app.call", arguments: { hub: "pc9", app: "notes", tool: "echo" } });
    expect(result).toMatchObject({ isError: true, structuredContent: { error: { code: "HUB_UNKNOWN" } } });
  });

  it("ends with the client", async () => {
    const { pid } = transport;
    await client.close();
    expect(isAlive(pid!)).toBe(false);
  });
});

it("fed mcp outlives a restart of its hub", async () => {
  await using own = new Home();
  await own.init("pc1");
  const first = await own.up("pc1");
  const { client } = await connect(eras["2026-07-28"]!, own);
  const list = () => client.callTool({ name: "apps.list", arguments: {} });
  expect(await list()).toMatchObject({ structuredContent: { apps: [] } });
  await first.stop();
  expect(await list()).toMatchObject({ isError: true, structuredContent: { error: { code: "HUB_NOT_RUNNING" } } });
  await own.up("pc1");
  expect(await list()).toMatchObject({ structuredContent: { apps: [] } });
  await client.close();
});
