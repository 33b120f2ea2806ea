import { FedError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import { TestFleet } from "../fleet.js";
import { openHost, type TestHost, tinyApp } from "./host.js";
import { sendJson, startAuthorizationServer, startWebApp } from "./web-app.js";

const mib = 1024 * 1024;
const say = (apps: TestHost) => apps.call("web", "say");

describe("an app over HTTP", () => {
  it("is asked on demand, with the headers and the token of its configuration", async () => {
    await using web = await startWebApp();
    await using apps = await openHost({
      web: { url: web.url, headers: { "x-team": "blue" }, auth: { bearer: "b3arer-of-hub" } },
    });
    expect(apps.health("web")).toMatchObject({ kind: "url", status: "idle" });
    expect(web.heard).toEqual([]);
    expect(await say(apps)).toBe("in session-1");
    expect(apps.health("web").status).toBe("ready");
    for (const { headers } of web.heard) {
      expect(headers).toMatchObject({ "x-team": "blue", authorization: "Bearer b3arer-of-hub" });
    }
  });

  it("that knows the session no more is greeted anew, and the call is sent once more", async () => {
    await using web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url } });
    await say(apps);
    web.forget();
    expect(await say(apps)).toBe("in session-2");
    expect(apps.health("web")).toMatchObject({ status: "ready", restarts: 1 });
  });

  it("that is down has failed, with the reason, and is reached again when it is up", async () => {
    const web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url } });
    await say(apps);
    await web.close();
    // The first may still go into a connection that was open until now.
    await say(apps).catch(() => {});
    const error = await expectCode(say(apps), "APP_UNAVAILABLE");
    expect(error.message).toContain("ECONNREFUSED");
    expect(error.retryable).toBe(true);
    expect(apps.host.list()).toMatchObject([{ app: "web", status: "failed" }]);
    await using again = await startWebApp(Number(new URL(web.url).port));
    expect(await say(apps)).toBe("in session-1");
    expect(again.heard.length).toBeGreaterThan(0);
  });

  it("that is down from the beginning tells whoever launches it, and is tried again if it starts with the hub", async () => {
    const clock = createTestClock();
    const web = await startWebApp();
    await web.close();
    await using apps = await openHost({ web: { url: web.url, start: "eager" } }, { clock });
    await expect.poll(() => apps.health("web").status).toBe("failed");
    const error = await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(error.message).toContain("ECONNREFUSED");
    await using _again = await startWebApp(Number(new URL(web.url).port));
    await clock.advance(30_000);
    await expect.poll(() => apps.health("web").status).toBe("ready");
  });

  it("that vanishes in the middle of a call leaves the outcome unknown", async () => {
    await using web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url } });
    await say(apps);
    web.behaviour = (request, _response, { method }) => {
      if (method !== "tools/call") return false;
      request.socket.destroy();
      return true;
    };
    await expectCode(say(apps), "OUTCOME_UNKNOWN");
  });

  it("that refuses says so with its status", async () => {
    await using web = await startWebApp();
    web.behaviour = (_request, response) => {
      response.writeHead(403).end("go away");
      return true;
    };
    await using apps = await openHost({ web: { url: web.url, headers: { authorization: "Bearer t0ken-of-hub" } } });
    const error = await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(error.message).toContain("403");
    expect(error.message).not.toContain("t0ken-of-hub");
  });

  it.each(["application/json", "text/event-stream"])("that floods with %s is refused this one answer", async (type) => {
    await using web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url }, well: tinyApp });
    await say(apps);
    let sent = 0;
    web.behaviour = (_request, response, { method, id }) => {
      if (method !== "tools/call") return false;
      response.writeHead(200, { "content-type": type });
      response.write(`${type.startsWith("text") ? "data: " : ""}{"jsonrpc":"2.0","id":${id},"result":{"text":"`);
      const more = () => {
        for (; sent < 100; sent++) if (!response.write("y".repeat(mib))) return void response.once("drain", more);
        response.end('"}}\n\n');
      };
      more();
      return true;
    };
    await expectCode(say(apps), "RESULT_TOO_LARGE");
    expect(sent).toBeLessThan(100);
    expect(await apps.call("well", "pid")).toMatch(/^\d+$/);
    web.behaviour = undefined;
    expect(await say(apps)).toBe("in session-1");
  });

  it("that streams more than the bound in many events is heard", async () => {
    await using web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url } });
    await say(apps);
    web.behaviour = (_request, response, { method, id }) => {
      if (method !== "tools/call") return false;
      response.writeHead(200, { "content-type": "text/event-stream" });
      const log = { jsonrpc: "2.0", method: "notifications/message", params: { level: "info", data: "z".repeat(mib) } };
      for (let i = 0; i < 12; i++) response.write(`event: message\ndata: ${JSON.stringify(log)}\n\n`);
      const result = { content: [{ type: "text", text: "all told" }] };
      response.end(`event: message\ndata: ${JSON.stringify({ jsonrpc: "2.0", id, result })}\n\n`);
      return true;
    };
    expect(await say(apps)).toBe("all told");
  });

  it("that hangs ends with the deadline of the call", async () => {
    await using web = await startWebApp();
    await using apps = await openHost({ web: { url: web.url } });
    await say(apps);
    web.behaviour = (_request, _response, { method }) => method === "tools/call";
    const cancel = new AbortController();
    const call = apps.call("web", "say", { signal: cancel.signal });
    await expect.poll(() => web.heard.at(-1)?.method).toBe("tools/call");
    cancel.abort(new FedError({ code: "DEADLINE_EXCEEDED", message: "Too late." }));
    await expectCode(call, "DEADLINE_EXCEEDED");
  });

  it("that points elsewhere is not followed there", async () => {
    await using elsewhere = await startWebApp();
    await using web = await startWebApp();
    web.behaviour = (_request, response) => {
      response.writeHead(307, { location: elsewhere.url }).end();
      return true;
    };
    await using apps = await openHost({ web: { url: web.url, auth: { bearer: "b3arer-of-hub" } } });
    await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(elsewhere.heard).toEqual([]);
  });
});

describe("the hub's own credentials", () => {
  const config = (url: string, issuer: string, clientSecret = "cl1ent-s3cret") => ({
    web: {
      url,
      headers: { "x-team": "blue" },
      auth: { clientCredentials: { issuer, clientId: "hub-1", clientSecret, scope: "mcp" } },
    },
  });

  it("get a token from the authorization server, once for all calls, and another when it has expired", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = authority.guard(() => web.url);
    await using apps = await openHost(config(web.url, authority.url));
    await Promise.all(Array.from({ length: 8 }, () => say(apps)));
    expect(authority.requests).toHaveLength(1);
    expect(authority.requests[0]!.body).toContain("grant_type=client_credentials");
    authority.expire();
    await Promise.all(Array.from({ length: 8 }, () => say(apps)));
    expect(authority.requests).toHaveLength(2);
    expect(web.heard.at(-1)!.headers.authorization).toBe("Bearer token-2");
    expect(authority.requests[0]!.headers, "what is for the app is for the app").not.toHaveProperty("x-team");
  });

  it("are shown to no other authorization server than theirs", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = authority.guard(() => web.url);
    await using apps = await openHost(config(web.url, "https://login.example"));
    await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(authority.requests).toEqual([]);
  });

  it("that are wrong are a failure with its reason, and without the secret", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = authority.guard(() => web.url);
    await using apps = await openHost(config(web.url, authority.url, "wr0ng-s3cret"));
    const error = await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(error.message).toContain("gave no access token");
    expect(error.message).not.toContain("wr0ng-s3cret");
  });

  it("of an authorization server that gives an endless answer cost no more than the bound", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = (request, response, message) => {
      if (request.url?.startsWith("/.well-known/oauth-protected-resource")) {
        sendJson(response, { resource: web.url, authorization_servers: [authority.url], more: "y".repeat(9 * mib) });
        return true;
      }
      return authority.guard(() => web.url)(request, response, message);
    };
    await using apps = await openHost(config(web.url, authority.url));
    await expectCode(apps.host.launch("web"), "APP_START_FAILED");
  });
});

it("an agent's token and headers reach no app", async () => {
  await using web = await startWebApp();
  await using fleet = new TestFleet();
  const hub = await fleet.hub("pc1", { apps: { web: { url: web.url } }, http: { host: "127.0.0.1", port: 0 } });
  const { token } = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  const headers = { authorization: `Bearer ${token}`, "x-of-agent": "yes", cookie: "a=b" };
  const client = new Client({ name: "agent", version: "1.0.0" });
  for (const path of ["/mcp", "/apps/pc1/web/mcp"]) {
    await client.connect(new StreamableHTTPClientTransport(new URL(`${hub.url}${path}`), { requestInit: { headers } }));
    const call = path === "/mcp" ? { name: "app.call", arguments: { app: "web", tool: "say" } } : { name: "say" };
    expect(await client.callTool(call)).toMatchObject({ content: [{ text: expect.stringContaining("session") }] });
    await client.close();
  }
  expect(web.heard.filter(({ method }) => method === "tools/call")).toHaveLength(2);
  const said = JSON.stringify(web.heard);
  for (const value of [token, "x-of-agent", "cookie", "authorization"]) expect(said).not.toContain(value);
});
