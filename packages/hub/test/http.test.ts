import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { randomBytes } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { type AppLog, addressOf, pair, TestFleet, testApp } from "./fleet.js";

const localPort = { host: "127.0.0.1", port: 0 };

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly problem: { readonly code?: string; readonly hint?: string; readonly status?: number };
}

/** `fetch` does not let a test choose Host. */
function send(
  hub: Hub,
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Uint8Array } = {},
): Promise<Answer> {
  const { method = "GET", headers = {}, body } = options;
  return new Promise((resolve, reject) => {
    const sent = request(`${hub.url}${path}`, { method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => {
        const isProblem = response.headers["content-type"] === "application/problem+json";
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          problem: isProblem ? JSON.parse(text) : {},
        });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function tokens(hub: Hub): Promise<Record<"admin" | "reader", { authorization: string }>> {
  const of = async (name: string, scope: "Admin" | "ReadOnly") => ({
    authorization: `Bearer ${(await hub.operators.issueToken({ name, scope })).token}`,
  });
  return { admin: await of("root", "Admin"), reader: await of("reader", "ReadOnly") };
}

describe("the HTTP port", () => {
  it("asks for a token of this hub", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { admin } = await tokens(hub);
    const guesses: Record<string, string>[] = [
      {},
      { authorization: "Bearer " },
      { authorization: "Basic cm9vdDpyb290" },
      { authorization: `${admin.authorization}x` },
      { authorization: `${admin.authorization.slice(0, -1)}${admin.authorization.endsWith("a") ? "b" : "a"}` },
      { authorization: `Bearer ${"a".repeat(10_000)}` },
    ];
    for (const path of ["/api/federation/identity", "/mcp", "/api/nothing"]) {
      for (const headers of guesses) {
        const answer = await send(hub, path, { headers });
        expect(answer).toMatchObject({ status: 401, problem: { code: "UNAUTHENTICATED" } });
        const metadata = `${hub.url}/.well-known/oauth-protected-resource${path === "/mcp" ? path : ""}`;
        expect(answer.headers["www-authenticate"]).toBe(
          `Bearer resource_metadata="${metadata}"${"authorization" in headers ? ', error="invalid_token"' : ""}`,
        );
        expect(answer.problem.hint).toBeTruthy();
      }
    }
    expect((await send(hub, "/api/federation/identity", { headers: admin })).status).toBe(200);
    expect((await send(hub, "/healthz")).status).toBe(200);
    expect((await send(hub, "/readyz")).status).toBe(200);
  });

  it("lets a token that may only read change nothing", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { reader } = await tokens(hub);
    for (const path of [
      "cluster",
      "generate-pairing-token",
      "pair",
      "share",
      "unshare",
      "revocations",
      "cluster/export",
    ]) {
      const answer = await send(hub, `/api/federation/${path}`, { method: "POST", headers: reader, body: "{}" });
      expect(answer, path).toMatchObject({ status: 403, problem: { code: "SCOPE_MISSING" } });
      expect(answer.headers["www-authenticate"]).toMatch(
        /^Bearer resource_metadata=".+", error="insufficient_scope", scope="Admin"$/,
      );
    }
    expect(await send(hub, "/api/federation/audit", { headers: reader })).toMatchObject({ status: 403 });
    expect(() => hub.cluster.status()).toThrow();
  });

  it("shows a token that is for some apps nothing of the others, and what apps printed to administrators alone", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { reader } = await tokens(hub);
    const { token } = await hub.operators.issueToken({ name: "bob", scope: "ReadWrite", allow: [{ app: "notes" }] });
    const narrowed = { authorization: `Bearer ${token}` };
    for (const path of ["/metrics", "/api/federation/sharing", "/api/federation/tool-rules"]) {
      expect((await send(hub, path, { headers: reader })).status, path).toBe(200);
      const answer = await send(hub, path, { headers: narrowed });
      expect(answer, path).toMatchObject({ status: 403, problem: { code: "APP_NOT_ALLOWED" } });
    }
    for (const headers of [reader, narrowed]) {
      const answer = await send(hub, "/api/federation/local-apps", { headers });
      expect(answer).toMatchObject({ status: 403, problem: { code: "SCOPE_MISSING" } });
    }
  });

  it("refuses the Host and Origin of other sites, on every route and before it looks at anything else", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { admin } = await tokens(hub);
    const { port } = new URL(hub.url!);
    const attacks: Record<string, string>[] = [
      { host: "evil.example" },
      { host: `evil.example:${port}` },
      { host: "127.0.0.1.evil.example" },
      { host: `localhost.evil.example:${port}` },
      { host: `169.254.169.254:${port}` },
      { origin: "https://evil.example" },
      { origin: "http://127.0.0.1.evil.example" },
      { origin: "http://localhost@evil.example" },
      { origin: "file://" },
      { origin: "null" },
      // A page whose name was made to lead here sends both.
      { host: `evil.example:${port}`, origin: `http://evil.example:${port}` },
    ];
    const routes = [
      ["GET", "/healthz"],
      ["GET", "/readyz"],
      ["GET", "/.well-known/oauth-protected-resource"],
      ["GET", "/.well-known/oauth-protected-resource/mcp"],
      ["GET", "/.well-known/oauth-protected-resource/apps/pc1/echo/mcp"],
      ["GET", "/api/federation/identity"],
      ["POST", "/api/federation/agent-tokens"],
      ["DELETE", "/api/federation/agent-tokens/current"],
      ["OPTIONS", "/api/federation/agent-tokens"],
      ["GET", "/mcp"],
      ["POST", "/mcp"],
      ["DELETE", "/mcp"],
      ["POST", "/apps/pc1/echo/mcp"],
      ["GET", "/nothing"],
    ] as const;
    for (const [method, path] of routes) {
      for (const attack of attacks) {
        for (const credentials of [{}, admin]) {
          const answer = await send(hub, path, { method, headers: { ...credentials, ...attack } });
          const which = `${method} ${path} ${JSON.stringify(attack)}`;
          expect(answer, which).toMatchObject({ status: 403, problem: { code: "ORIGIN_REFUSED" } });
          expect(answer.headers["www-authenticate"], which).toBeUndefined();
          expect(answer.headers["access-control-allow-origin"], which).toBeUndefined();
        }
      }
    }
    for (const host of ["127.0.0.1@evil.example", "[::ffff:169.254.169.254]", "[", `${port}:${port}`]) {
      for (const [method, path] of routes) {
        const { status } = await send(hub, path, { method, headers: { ...admin, host } });
        expect([400, 403], `${method} ${path} ${host}`).toContain(status);
      }
    }
    for (const origin of [hub.url!, `http://localhost:${port}`, `http://[::1]:${port}`]) {
      expect((await send(hub, "/api/federation/identity", { headers: { ...admin, origin } })).status).toBe(200);
    }
    for (const host of [`localhost:${port}`, `[::1]:${port}`, "LOCALHOST"]) {
      expect((await send(hub, "/api/federation/identity", { headers: { ...admin, host } })).status).toBe(200);
    }
  });

  it("takes the address from Host alone, whatever the request line says", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { host } = new URL(hub.url!);
    const raw = async (lines: string[]) => {
      const socket = connect(Number(new URL(hub.url!).port), "127.0.0.1");
      socket.end(`${lines.join("\r\n")}\r\n\r\n`);
      return text(socket);
    };
    const path = "/.well-known/oauth-protected-resource/mcp";
    const absolute = await raw([`GET http://evil.example${path} HTTP/1.1`, `Host: ${host}`, "Connection: close"]);
    expect(absolute).not.toContain("evil.example");
    const forged = await raw([`GET ${path} HTTP/1.1`, `Host: ${host}/../evil.example`, "Connection: close"]);
    expect(forged).not.toContain("evil.example");
    expect(await raw([`GET ${path} HTTP/1.1`, "Connection: close"])).toMatch(/^HTTP\/1.1 400 /);
    expect(await raw([`GET ${path} HTTP/1.0`])).toMatch(/^HTTP\/1.1 40[03] /);
    const twice = await raw([`GET ${path} HTTP/1.1`, "Host: evil.example", `Host: ${host}`, "Connection: close"]);
    expect(twice).toMatch(/^HTTP\/1.1 40[03] /);
  });

  it("answers bad input with a problem that names a code", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { admin } = await tokens(hub);
    const post = (path: string, body: string) =>
      send(hub, `/api/federation/${path}`, { method: "POST", headers: admin, body });
    const bad: [path: string, body: string][] = [
      ["cluster", "{"],
      ["cluster", "[]"],
      ["cluster", "null"],
      ["cluster", ""],
      ["cluster", '{"name": 5}'],
      ["cluster", '{"name": "x", "extra": true}'],
      ["cluster", `{"name": "${"x".repeat(200)}"}`],
      ["generate-pairing-token", '{"ttlMs": 1e99}'],
      ["generate-pairing-token", '{"ttlMs": -1}'],
      ["generate-pairing-token", '{"roles": "admin"}'],
      ["share", '{"app": "a"}'],
      ["revocations", '{"kind": "planet", "id": "x"}'],
      ["cluster/export", '{"directory": ""}'],
    ];
    for (const [path, body] of bad) {
      expect(await post(path, body), `${path} ${body}`).toMatchObject({
        status: 400,
        problem: { code: "REQUEST_INVALID", status: 400 },
      });
    }
    expect(await post("share", '{"app": "a", "target": "everybody"}')).toMatchObject({ status: 400 });
    expect(await post("pair", '{"token": "fedpair1.nonsense"}')).toMatchObject({
      status: 400,
      problem: { code: "TOKEN_MALFORMED" },
    });
    expect(await post("generate-pairing-token", "{}")).toMatchObject({
      status: 409,
      problem: { code: "NOT_IN_CLUSTER" },
    });
    expect(await send(hub, "/api/federation/audit?count=0", { headers: admin })).toMatchObject({
      problem: { code: "REQUEST_INVALID" },
    });
    expect(await send(hub, "/api/federation/none", { headers: admin })).toMatchObject({
      status: 404,
      problem: { code: "REQUEST_INVALID" },
    });
    expect(await post("cluster", `{"name": "${"x".repeat(4 * 1024 * 1024)}"}`)).toMatchObject({
      status: 413,
      problem: { code: "REQUEST_TOO_LARGE" },
    });
    for (const body of ["{", "5", '{"jsonrpc":"1.0"}', "[]", `"${"x".repeat(4 * 1024 * 1024)}"`]) {
      const headers = { ...admin, "content-type": "application/json", accept: "application/json, text/event-stream" };
      const { status } = await send(hub, "/mcp", { method: "POST", headers, body });
      expect(status, body.slice(0, 40)).toBe(body.length > 1000 ? 413 : 400);
    }
    expect(() => hub.cluster.status()).toThrow();
  });

  it("gives any JSON a typed answer", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: localPort });
    const { admin } = await tokens(hub);
    const paths = ["generate-pairing-token", "pair", "share", "unshare", "revocations"];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), fc.jsonValue(), async (path, value) => {
        const { status, problem } = await send(hub, `/api/federation/${path}`, {
          method: "POST",
          headers: admin,
          body: JSON.stringify(value),
        });
        expect(status).toBeGreaterThanOrEqual(400);
        expect(status).toBeLessThan(500);
        expect(problem.code).toMatch(/^[A-Z][A-Z_]+$/);
        expect(problem.code).not.toBe("INTERNAL");
      }),
      { numRuns: 60 },
    );
  });
});

describe("random bytes", () => {
  it("on the HTTP and LAN ports do not disturb a running call", async () => {
    await using fleet = new TestFleet();
    const log: AppLog = { calls: [], cancelled: 0 };
    const { pc1, pc2 } = await pair(fleet, {
      pc1: { http: localPort },
      pc2: { http: localPort, apps: { echo: testApp(log) } },
    });
    await pc2.sharing.share("echo", "cluster");
    const operator = pc1.operators.local("tester");
    const cancel = new AbortController();
    const waiting = pc1.apps.call({ hub: "pc2", app: "echo", tool: "wait" }, { operator, signal: cancel.signal });
    waiting.catch(() => {});
    await expect.poll(() => log.calls).toEqual(["wait"]);

    const doors = [pc1, pc2].flatMap((hub) => [new URL(hub.url!).host, addressOf(hub)]);
    for (const [i, door] of doors.entries()) {
      for (const length of [1, 5, 1000, 60_000]) {
        const [host, port] = door.split(":");
        const socket = connect(Number(port), host);
        socket.on("error", () => {});
        const closed = once(socket, "close");
        const bytes = randomBytes(length);
        // Something that looks like the beginning of TLS, or of HTTP, gets further in.
        if (length === 1000) bytes.set(i % 2 === 0 ? Buffer.from("POST /mcp HTTP/1.1\r\n") : [22, 3, 1, 2, 0, 1]);
        socket.end(bytes);
        socket.resume();
        await closed;
      }
    }
    for (let i = 0; i < 5; i++) {
      const result = await pc1.apps.call(
        { hub: "pc2", app: "echo", tool: "echo", arguments: { text: String(i) } },
        { operator },
      );
      expect(result).toMatchObject({ content: [{ text: String(i) }] });
    }
    expect(log.cancelled).toBe(0);
    cancel.abort();
    await expectCode(waiting, "ABORTED");
  });
});
