/** Clients that people have, in front of three hubs: each lists and calls what the third of them has. */

import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport as LegacyStdio } from "@modelcontextprotocol/sdk/client/stdio.js";
import { StreamableHTTPClientTransport as LegacyHttp } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse as parseYaml } from "yaml";
import { cli, Home } from "./home.js";

/** A server as a client's file names it. */
interface Entry {
  readonly command?: string;
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What every client is used for. */
interface Session {
  tools(): Promise<string[]>;
  call(name: string, args: Record<string, unknown>): Promise<unknown>;
  close(): Promise<void>;
}

const home = new Home();
const info = { name: "client", version: "1.0.0" };
const hubs = ["pc1", "pc2", "pc3"];
const fleetTools = expect.arrayContaining(["app.call", "apps.describe", "apps.list", "apps.search"]);
const notesTools = ["echo", "count", "wait", "fail"];
let url: string;
let token: string;

beforeAll(async () => {
  const { pc1 } = await home.pair();
  url = pc1.up.url;
  await home.init("pc3", { share: true });
  const status = await home.json<{ lan: { addresses: string[] } }>("pc1", "cluster", "status");
  const lan = ["--lan", "127.0.0.1:0", "--no-discovery", "--peer", status.lan.addresses[0]!];
  await home.up("pc3", "--mcp-config", home.apps("pc3", "notes"), ...lan);
  const { token: invitation } = await home.json<{ token: string }>("pc1", "invite");
  await home.json("pc3", "join", invitation);
  ({ token } = await home.json<{ token: string }>("pc1", "token", "create", "--name", "ann", "--scope", "ReadWrite"));
  // `fed` as a client finds it.
  mkdirSync(home.path("bin"));
  writeFileSync(home.path("bin", "fed"), `#!/bin/sh\nexec "${process.execPath}" "${cli}" "$@"\n`, { mode: 0o755 });
});
afterAll(() => home[Symbol.asyncDispose]());

/** The environment of a program that a client starts. */
function environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const path = `${home.path("bin")}${delimiter}${process.env.PATH}`;
  return { PATH: path, HOME: home.root, FED_DIR: home.path("pc1"), ...more };
}

const stdioEntry = (...args: string[]): Entry => ({ command: "fed", args: ["mcp", ...args], env: environment() });
const httpEntry = (path: string): Entry => ({
  url: `${url}${path}`,
  headers: { Authorization: `Bearer ${token}` },
});

/** The ways in: what is listed there, and how `echo` on a hub is called. */
const fleet = (hub: string, text: string) => ({ hub, app: "notes", tool: "echo", arguments: { text } });

async function legacySession(entry: Entry): Promise<Session> {
  const client = new LegacyClient(info);
  const transport = entry.command
    ? new LegacyStdio({ command: entry.command, args: [...(entry.args ?? [])], env: environment(entry.env) })
    : new LegacyHttp(new URL(entry.url!), { requestInit: { headers: { ...entry.headers } } });
  await client.connect(transport as never);
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
}

async function modernSession(entry: Entry, revision: string): Promise<Session> {
  const client = new Client(info, revision === "2026-07-28" ? { versionNegotiation: { mode: { pin: revision } } } : {});
  const transport = entry.command
    ? new StdioClientTransport({ command: entry.command, args: [...(entry.args ?? [])], env: environment(entry.env) })
    : new StreamableHTTPClientTransport(new URL(entry.url!), { requestInit: { headers: { ...entry.headers } } });
  await client.connect(transport);
  expect(client.getNegotiatedProtocolVersion()).toBe(revision);
  return {
    tools: async () => (await client.listTools()).tools.map(({ name }) => name),
    call: (name, args) => client.callTool({ name, arguments: args }),
    close: () => client.close(),
  };
}

const inspector = join(
  dirname(createRequire(import.meta.url).resolve("@modelcontextprotocol/inspector/package.json")),
  "clients/launcher/build/index.js",
);

/** The Inspector's command is a session for each thing it is asked. */
async function inspectorSession(entry: Entry, era: string): Promise<Session> {
  const config = home.path(`inspector-${era}.json`);
  const run = async (...args: string[]) => {
    const named = entry.url === undefined ? entry : { type: "http", ...entry };
    writeFileSync(config, JSON.stringify({ mcpServers: { it: named } }));
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        inspector,
        "--cli",
        "--config",
        config,
        "--server",
        "it",
        "--protocol-era",
        era,
        "--format",
        "json",
        "-q",
        ...args,
      ],
      { env: { ...process.env, ...environment() }, cwd: home.root },
    );
    return JSON.parse(stdout) as { result?: { tools?: { name: string }[] }; tools?: { name: string }[] };
  };
  return {
    async tools() {
      const answer = await run("--method", "tools/list");
      return (answer.result ?? answer).tools!.map(({ name }) => name);
    },
    async call(name, args) {
      const asked = ["--tool-name", name, "--tool-args-json", JSON.stringify(args)];
      const answer = await run("--method", "tools/call", ...asked);
      return answer.result ?? answer;
    },
    close: async () => {},
  };
}

describe.each<[string, (entry: Entry) => Promise<Session>]>([
  ["the SDK before 2", legacySession],
  ["the SDK v2, 2025-11-25", (entry) => modernSession(entry, "2025-11-25")],
  ["the SDK v2, 2026-07-28", (entry) => modernSession(entry, "2026-07-28")],
  ["the MCP Inspector", (entry) => inspectorSession(entry, "legacy")],
])("%s", (_client, connect) => {
  it.each<[string, () => Entry]>([
    ["stdio", () => stdioEntry()],
    ["HTTP", () => httpEntry("/mcp")],
  ])("lists and calls apps of three hubs over %s", async (way, entry) => {
    const session = await connect(entry());
    expect(await session.tools()).toEqual(fleetTools);
    expect(await session.call("apps.list", {})).toMatchObject({
      structuredContent: { apps: hubs.map((hub) => ({ hub, app: "notes" })) },
    });
    for (const hub of hubs) {
      const text = `to ${hub} over ${way}`;
      expect(await session.call("app.call", fleet(hub, text))).toMatchObject({ content: [{ type: "text", text }] });
    }
    await session.close();
  });

  it.each<[string, () => Entry]>([
    ["stdio", () => stdioEntry("--app", "pc3/notes")],
    ["HTTP", () => httpEntry("/apps/pc3/notes/mcp")],
  ])("sees one app of another hub as its own over %s", async (way, entry) => {
    const session = await connect(entry());
    expect(await session.tools()).toEqual(notesTools);
    const text = `straight over ${way}`;
    expect(await session.call("echo", { text })).toMatchObject({ content: [{ type: "text", text }] });
    await session.close();
  });
});

it("the MCP Inspector speaks 2026-07-28 with an app of another hub", async () => {
  const session = await inspectorSession(httpEntry("/apps/pc3/notes/mcp"), "modern");
  expect(await session.tools()).toEqual(notesTools);
  expect(await session.call("echo", { text: "new" })).toMatchObject({ content: [{ text: "new" }] });
});

describe("the guide's snippets", () => {
  const guide = readFileSync(join(import.meta.dirname, "../../../docs/guide/clients.md"), "utf8");
  const sections = guide.split(/^## /m).slice(1);
  const snippets = sections.flatMap((section) => {
    const title = section.split("\n", 1)[0]!;
    return [...section.matchAll(/^```(json|yaml|console)\n(.*?)^```$/gms)].map(
      ([, language, text]) => [title, language!, text!] as const,
    );
  });

  it("are there for each client", () => {
    expect(snippets.map(([title]) => title)).toEqual(
      expect.arrayContaining([
        "Claude Desktop",
        "Claude Code",
        "VS Code",
        "Cursor",
        "Windsurf",
        "Zed",
        "Continue",
        "MCP Inspector",
      ]),
    );
  });

  /** With this hub's address and token in place of the guide's. */
  function real(text: string): string {
    const inputs = /"id": "fed-token"/.test(text) ? /\$\{input:fed-token\}/g : /(?!)/g;
    return text
      .replace(inputs, token)
      .replace(/YOUR_TOKEN|\$\{(env:)?FED_TOKEN\}|\$\{\{ secrets\.FED_TOKEN \}\}/g, token)
      .replaceAll("http://127.0.0.1:4870", url);
  }

  /** Every server that a snippet names, in the words of {@link Entry}. */
  function entriesIn(language: string, text: string): [string, Entry][] {
    if (language === "console") return text.trim().split("\n").flatMap(commandEntry);
    const document = (language === "yaml" ? parseYaml(text) : JSON.parse(text)) as Record<string, unknown>;
    const servers = (document.mcpServers ?? document.servers ?? document.context_servers) as Record<string, unknown>;
    type Written = Entry & { name?: string; serverUrl?: string; requestOptions?: { headers: Record<string, string> } };
    return Object.entries(servers).map(([key, value]) => {
      const { name = key, serverUrl, requestOptions, ...entry } = value as Written;
      return [name, { headers: requestOptions?.headers, ...(serverUrl && { url: serverUrl }), ...entry } as Entry];
    });
  }

  /** `claude mcp add NAME -- COMMAND…` and `claude mcp add --transport http NAME URL --header "…"`. */
  function commandEntry(line: string): [string, Entry][] {
    if (!line.startsWith("claude ")) return [];
    const words = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
    const end = words.indexOf("--");
    if (end > 0) return [[words[end - 1]!, { command: words[end + 1]!, args: words.slice(end + 2) }]];
    const [name, header] = words[words.indexOf("--header") + 1]!.split(": ") as [string, string];
    const [at, address] = words.slice(words.indexOf("http") + 1) as [string, string];
    return [[at, { url: address, headers: { [name]: header } }]];
  }

  it.each(snippets)("%s (%s): each server in it answers", async (title, language, text) => {
    const entries = entriesIn(language, real(text));
    if (title !== "MCP Inspector") expect(entries.length).toBeGreaterThan(1);
    for (const [name, entry] of entries) {
      if (entry.command !== undefined) expect(entry.command).toBe("fed");
      const session = await legacySession(entry);
      expect(await session.tools()).toEqual(name.startsWith("fleet") ? fleetTools : notesTools);
      await session.close();
    }
  });

  it("for the Inspector are options that it has", async () => {
    const lines = snippets
      .filter(([title]) => title === "MCP Inspector")
      .flatMap(([, , text]) => text.trim().split("\n"));
    expect(lines).toHaveLength(2);
    const config = home.path("mcp.json");
    writeFileSync(config, JSON.stringify({ mcpServers: { notes: stdioEntry("--app", "pc2/notes") } }));
    for (const line of lines) {
      const args = line
        .split(" ")
        .slice(2)
        .map((word) => (word === "mcp.json" ? config : word));
      const env = { ...process.env, ...environment() };
      const { stdout } = await promisify(execFile)(process.execPath, [inspector, ...args], { env, cwd: home.root });
      expect(stdout).toContain('"echo"');
    }
  });
});
