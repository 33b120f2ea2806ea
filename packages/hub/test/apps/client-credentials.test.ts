/** What an app that asks for a token can make the hub do: nothing but ask the app and the issuer of its configuration. */
import { expectCode } from "@fed/core/testing";
import { Agent } from "undici";
import { describe, expect, it } from "vitest";
import { createAuthorizationFetch } from "../../src/apps/client-credentials.js";
import { openHost } from "./host.js";
import { type Behaviour, sendJson, startAuthorizationServer, startWebApp, type WebApp } from "./web-app.js";

const metadataPath = "/.well-known/oauth-protected-resource";

function config(url: string, issuer: string) {
  return { web: { url, auth: { clientCredentials: { issuer, clientId: "hub-1", clientSecret: "cl1ent-s3cret" } } } };
}

/** An app that says who gives tokens for it as `metadata` does, and takes those of `authority`. */
function guardedBy(
  authority: { guard(app: () => string): Behaviour },
  web: WebApp,
  metadata: (request: Parameters<Behaviour>[0], response: Parameters<Behaviour>[1]) => void,
): Behaviour {
  return (request, response, message) => {
    if (!request.url?.startsWith(metadataPath)) return authority.guard(() => web.url)(request, response, message);
    metadata(request, response);
    return true;
  };
}

describe("an app that asks for a token", () => {
  it("cannot send the hub elsewhere for its metadata", async () => {
    await using inside = await startWebApp();
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = (_request, response) => {
      const elsewhere = new URL(metadataPath, inside.url).href;
      response.writeHead(401, { "www-authenticate": `Bearer resource_metadata="${elsewhere}"` }).end();
      return true;
    };
    await using apps = await openHost(config(web.url, authority.url));
    const error = await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(error.message).toContain("own origin");
    expect(inside.heard).toEqual([]);
    expect(authority.requests).toEqual([]);
  });

  it("cannot send the hub to an authorization server of its choice", async () => {
    await using inside = await startWebApp();
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    const { origin } = new URL(inside.url);
    web.behaviour = guardedBy(authority, web, (_request, response) =>
      sendJson(response, { resource: web.url, authorization_servers: [origin] }),
    );
    await using apps = await openHost(config(web.url, authority.url));
    const error = await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(error.message).toContain(origin);
    expect(inside.heard).toEqual([]);
    expect(authority.requests).toEqual([]);
  });

  it("may name several, of which the configured one is asked", async () => {
    await using inside = await startWebApp();
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    const { origin } = new URL(inside.url);
    web.behaviour = guardedBy(authority, web, (_request, response) =>
      sendJson(response, { resource: web.url, authorization_servers: [origin, `${authority.url}/`] }),
    );
    await using apps = await openHost(config(web.url, authority.url));
    expect(await apps.call("web", "say")).toContain("session");
    expect(inside.heard).toEqual([]);
  });

  it("says which scope it needs only where none is configured", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = authority.guard(() => web.url);
    const { url, auth } = config(web.url, authority.url).web;
    const narrow = { url, auth: { clientCredentials: { ...auth.clientCredentials, scope: "notes.read" } } };
    await using apps = await openHost({ web: { url, auth }, narrow });
    for (const app of ["web", "narrow"]) {
      authority.expire();
      await apps.call(app, "say");
    }
    expect(authority.requests.map(({ body }) => new URLSearchParams(body).get("scope"))).toEqual(["mcp", "notes.read"]);
  });

  it("may say nothing of itself", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = guardedBy(authority, web, (_request, response) => response.writeHead(404).end());
    await using apps = await openHost(config(web.url, authority.url));
    expect(await apps.call("web", "say")).toContain("session");
    expect(authority.requests).toHaveLength(1);
  });

  it("cannot send the hub on, not even within its own origin", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    const asked: (string | undefined)[] = [];
    web.behaviour = guardedBy(authority, web, (request, response) => {
      asked.push(request.url);
      response.writeHead(307, { location: `${request.url}/more` }).end();
    });
    await using apps = await openHost(config(web.url, authority.url));
    await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(new Set(asked)).toEqual(new Set([`${metadataPath}/mcp`]));
    expect(authority.requests).toEqual([]);
  });

  it("is given up when it says too much", async () => {
    await using authority = await startAuthorizationServer();
    await using web = await startWebApp();
    web.behaviour = guardedBy(authority, web, (_request, response) =>
      sendJson(response, { resource: web.url, authorization_servers: [authority.url], more: "y".repeat(65 * 1024) }),
    );
    await using apps = await openHost(config(web.url, authority.url));
    await expectCode(apps.host.launch("web"), "APP_START_FAILED");
    expect(authority.requests).toEqual([]);
  });
});

describe("an issuer in the internet", () => {
  const dispatcher = new Agent();
  const fetchFrom = (issuer: string) =>
    createAuthorizationFetch({
      url: new URL("https://app.example/mcp"),
      issuer: new URL(issuer),
      fetchApp: () => Promise.reject(new Error("the app is not asked")),
      dispatcher,
    });
  const post = { method: "POST", body: "grant_type=client_credentials" };

  it.each([
    "https://169.254.169.254/latest/meta-data/",
    "https://127.0.0.1:1/token",
    "https://[::1]:1/token",
    "https://[::ffff:10.0.0.1]/token",
    "https://localhost:1/token",
    "http://1.1.1.1/token",
  ])("cannot name the token endpoint %s", async (endpoint) => {
    await expectCode(fetchFrom("https://1.1.1.1")(endpoint, post) as Promise<unknown>, "APP_UNAVAILABLE");
  });

  it("is different from one inside the network, which may name another there", async () => {
    await expect(fetchFrom("https://127.0.0.1:1")("https://127.0.0.1:2/token", post)).rejects.toThrow(TypeError);
  });
});
