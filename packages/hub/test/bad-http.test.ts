/** What no client of HTTP sends in good faith. */
import { once } from "node:events";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { type Endpoint, modern } from "./eras/raw-agent.js";
import { type AppLog, TestFleet, testApp } from "./fleet.js";

const fleet = new TestFleet();
const log: AppLog = { calls: [], cancelled: 0 };
let pc1: Hub;

beforeAll(async () => {
  pc1 = await fleet.hub("pc1", { http: { host: "127.0.0.1", port: 0 }, apps: { test: testApp(log) } });
  await pc1.apps.settled();
});
afterAll(() => fleet[Symbol.asyncDispose]());

async function endpoint(): Promise<Endpoint> {
  const { token } = await pc1.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  return { url: `${pc1.url}/apps/pc1/test/mcp`, token };
}

describe("over HTTP", () => {
  const raw = async (...lines: string[]) => {
    const socket = connect(Number(new URL(pc1.url!).port), "127.0.0.1");
    socket.end(`${lines.join("\r\n")}\r\n\r\n`);
    return text(socket).catch((error: NodeJS.ErrnoException) => String(error.code));
  };

  it("unknown methods and absurd paths are refused", async () => {
    const { token } = await endpoint();
    const host = `Host: ${new URL(pc1.url!).host}`;
    const who = [host, `Authorization: Bearer ${token}`, "Connection: close"];
    const statusOf = async (line: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(await raw(line, ...who))?.[1] ?? 0);
    for (const method of ["PUT", "PATCH", "HEAD", "OPTIONS", "PROPFIND", "TRACE"]) {
      expect(await statusOf(`${method} /mcp HTTP/1.1`), method).toBe(405);
    }
    // Node closes on these itself.
    for (const line of ["CONNECT /mcp HTTP/1.1", "NONSENSE /mcp HTTP/1.1", "GET  HTTP/1.1", "GET /\0 HTTP/1.1"]) {
      expect([0, 400], line).toContain(await statusOf(line));
    }
    const paths = [
      "/apps/%2e%2e/x/mcp",
      "/apps/../x/mcp",
      "/apps/%2e%2e%2f%2e%2e%2fetc/passwd/mcp",
      "/apps/pc1/%00/mcp",
      "/apps/pc1/a%2fb/mcp",
      "/apps/%ff/x/mcp",
      "/apps/%/x/mcp",
      "/apps//x/mcp",
      "/apps/pc1/x/mcp/",
      "/apps/pc1/x/mcp/more",
      "//mcp",
      "/MCP",
      `/apps/${"a".repeat(10_240)}/x/mcp`,
      `/${"a".repeat(10_240)}`,
    ];
    for (const path of paths) expect([400, 404, 405], path).toContain(await statusOf(`GET ${path} HTTP/1.1`));
    expect(await statusOf(`GET /${"a".repeat(20_000)} HTTP/1.1`)).toBe(431);
    const unknown = await modern({ url: `${pc1.url}/apps/%2e%2e/test/mcp`, token }, "tools/list");
    expect([400, 404]).toContain(unknown.status);
    const nobody = await modern({ url: `${pc1.url}/apps/nobody/test/mcp`, token }, "tools/list");
    expect(nobody.last.error?.data).toMatchObject({ code: "HUB_UNKNOWN" });
  });

  it("what proxies claim counts for nothing", async () => {
    const { url } = await endpoint();
    const forwarded = {
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "https",
      forwarded: "host=evil.example",
    };
    const response = await fetch(url, { method: "POST", headers: { ...forwarded, "x-forwarded-for": "127.0.0.1" } });
    expect(response.status).toBe(401);
    expect(response.headers.get("www-authenticate")).not.toContain("evil");
    expect(response.headers.get("www-authenticate")).toContain(pc1.url);
  });

  it("requests sent ahead are answered in order; a connection closed takes all of them with it", async () => {
    const { url, token } = await endpoint();
    const request = (id: number, tool: string, args: object) => {
      const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${tool}","arguments":${JSON.stringify(args)},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`;
      const headers = { host: new URL(url).host, authorization: `Bearer ${token}`, "content-type": "application/json" };
      const lines = Object.entries({
        ...headers,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
        "content-length": body.length,
      });
      return `POST ${new URL(url).pathname} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
    };
    const socket = connect(Number(new URL(url).port), "127.0.0.1");
    let said = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
    });
    for (let id = 0; id < 50; id++) socket.write(request(id, "echo", { text: `t${id}` }));
    const ids = () => [...said.matchAll(/"id":(\d+)[,}]/g)].map(([, id]) => Number(id));
    await expect.poll(ids).toEqual(Array.from({ length: 50 }, (_, i) => i));
    const before = log.calls.filter((call) => call === "wait").length;
    const cancelled = log.cancelled;
    for (let id = 0; id < 10; id++) socket.write(request(id, "wait", {}));
    await expect.poll(() => log.calls.filter((call) => call === "wait").length).toBe(before + 1);
    socket.destroy();
    await once(socket, "close");
    await expect.poll(() => log.cancelled).toBe(cancelled + 1);
    expect(log.calls.filter((call) => call === "wait").length).toBe(before + 1);
  });
});
