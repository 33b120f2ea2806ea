import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { encodeBase32, randomBytes } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createAccessTokens, type OauthOptions } from "../src/operators/access-tokens.js";
import { TestFleet, testApp } from "./fleet.js";

type Keys = Awaited<ReturnType<typeof generateKeyPair>>;

const hubId = encodeBase32(randomBytes(16));
const audience = "https://hub.example";
const clock = createTestClock();
const nowSeconds = Math.floor(clock.nowMs() / 1000);

let server: Server;
let issuer: string;
let keys: Keys;
let otherKeys: Keys;
/** What the authorization server was asked. */
let asked: string[];
let isDown: boolean;
let metadata: object;

beforeAll(async () => {
  keys = await generateKeyPair("ES256");
  otherKeys = await generateKeyPair("ES256");
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k1", alg: "ES256" }] };
  server = createServer((request, response) => {
    asked.push(request.url!);
    const body =
      request.url === "/jwks" ? jwks : request.url === "/.well-known/oauth-authorization-server" ? metadata : undefined;
    if (isDown) return void request.socket.destroy();
    if (!body) return void response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());
beforeEach(() => {
  asked = [];
  isDown = false;
  metadata = { issuer, jwks_uri: `${issuer}/jwks` };
});

const open = (options: Partial<OauthOptions> = {}) =>
  createAccessTokens({ issuer, audience, ...options }, { hubId, clock });

function tokenOf(
  claims: JWTPayload = {},
  {
    key = keys.privateKey,
    header = {},
    atSeconds = nowSeconds,
  }: { key?: Keys["privateKey"]; header?: object; atSeconds?: number } = {},
): Promise<string> {
  const all = {
    iss: issuer,
    aud: audience,
    sub: "alice",
    scope: "ReadWrite",
    exp: atSeconds + 600,
    iat: atSeconds,
    ...claims,
  };
  return new SignJWT(all).setProtectedHeader({ alg: "ES256", kid: "k1", ...header }).sign(key);
}

describe("an access token of the authorization server", () => {
  it("stands for an operator of its own name and the widest scope it has", async () => {
    const tokens = open();
    expect(await tokens.verify(await tokenOf(), "/mcp")).toEqual({
      principal: `oauth.alice@${hubId}`,
      roles: [],
      scope: "ReadWrite",
      // As long as it is taken: for 30 s more than it says.
      expiresAtMs: (nowSeconds + 630) * 1000,
    });
    const scopeOf = async (claims: JWTPayload) => (await tokens.verify(await tokenOf(claims), "/mcp")).scope;
    expect(await scopeOf({ scope: "openid ReadOnly Admin" })).toBe("Admin");
    expect(await scopeOf({ scope: undefined, scp: ["ReadOnly", "profile"] })).toBe("ReadOnly");
    expect(await scopeOf({ scope: undefined, scp: "ReadWrite" })).toBe("ReadWrite");
    // Its keys were fetched once, where its metadata says.
    expect(asked).toEqual(["/.well-known/oauth-authorization-server", "/jwks"]);
  });

  it("has its keys at jwksUri, where that is given", async () => {
    await open({ jwksUri: `${issuer}/jwks` }).verify(await tokenOf(), "/mcp");
    expect(asked).toEqual(["/jwks"]);
  });

  it("whose subject is no name gets one that no other has", async () => {
    const tokens = open();
    const subjects = ["Alice", "alice@example.org", "auth0|1234", "a b", "x".repeat(200), "é", "ALICE"];
    const names = await Promise.all(
      subjects.map(async (sub) => (await tokens.verify(await tokenOf({ sub }), "/mcp")).principal),
    );
    expect(new Set(names).size).toBe(subjects.length);
    for (const name of names) expect(name).toMatch(/^oauth-[a-z2-7]{52}@/);
  });

  it("may be for the hub or for the one endpoint that is asked, and for no other", async () => {
    const tokens = open();
    for (const aud of [audience, `${audience}/`, `${audience}/mcp`, ["other", `${audience}/mcp`]]) {
      await tokens.verify(await tokenOf({ aud }), "/mcp");
    }
    for (const aud of [
      `${audience}/apps/pc1/echo/mcp`,
      `${audience}:444`,
      "https://hub.example.evil",
      "/mcp",
      [],
      undefined,
    ]) {
      await expectCode(tokens.verify(await tokenOf({ aud }), "/mcp"), "UNAUTHENTICATED");
    }
  });

  const bad: readonly (readonly [why: string, make: () => Promise<string> | string])[] = [
    ["has expired", () => tokenOf({ exp: nowSeconds - 60 })],
    ["never expires", () => tokenOf({ exp: undefined })],
    ["is not yet good", () => tokenOf({ nbf: nowSeconds + 600 })],
    ["is of another issuer", () => tokenOf({ iss: "https://evil.example" })],
    ["names no issuer", () => tokenOf({ iss: undefined })],
    ["names no subject", () => tokenOf({ sub: undefined })],
    ["has an empty subject", () => tokenOf({ sub: "" })],
    ["is signed by somebody else", () => tokenOf({}, { key: otherKeys.privateKey })],
    ["names a key that is not there", () => tokenOf({}, { header: { kid: "k2" } })],
    [
      "brings its own key",
      async () => tokenOf({}, { key: otherKeys.privateKey, header: { jwk: await exportJWK(otherKeys.publicKey) } }),
    ],
    [
      "is not signed",
      async () =>
        new UnsecuredJWT({ sub: "alice", scope: "Admin", iss: issuer, aud: audience, exp: nowSeconds + 60 }).encode(),
    ],
    [
      "is signed with the public key as a secret",
      async () =>
        new SignJWT({ sub: "alice", scope: "Admin", iss: issuer, aud: audience, exp: nowSeconds + 60 })
          .setProtectedHeader({ alg: "HS256", kid: "k1" })
          .sign(new TextEncoder().encode(await exportSPKI(keys.publicKey))),
    ],
    [
      "was changed",
      async () => {
        const [header, , signature] = (await tokenOf()).split(".");
        const payload = Buffer.from(
          JSON.stringify({ iss: issuer, aud: audience, sub: "bob", scope: "Admin", exp: nowSeconds + 600 }),
        );
        return `${header}.${payload.toString("base64url")}.${signature}`;
      },
    ],
    ["is none", async () => "a.b.c"],
    ["is nothing", async () => "."],
  ];
  it.for(bad)("that %s is refused", async ([, make]) => {
    await expectCode(open().verify(await make(), "/mcp"), "UNAUTHENTICATED");
  });

  it("without a scope of the hub is told what it lacks", async () => {
    const error = await expectCode(open().verify(await tokenOf({ scope: "openid Admins" }), "/mcp"), "SCOPE_MISSING");
    expect(error).toMatchObject({ details: { scope: "ReadOnly" } });
  });
});

describe("an authorization server that is not there", () => {
  it("is asked again only after a pause, and then its tokens are good", async () => {
    const own = createTestClock();
    const tokens = createAccessTokens({ issuer, audience }, { hubId, clock: own });
    isDown = true;
    const token = await tokenOf();
    for (let i = 0; i < 50; i++) {
      const error = await expectCode(tokens.verify(token, "/mcp"), "OAUTH_UNAVAILABLE");
      expect(error.retryable).toBe(true);
    }
    expect(asked).toHaveLength(1);
    isDown = false;
    await own.advance(5000);
    await tokens.verify(token, "/mcp");
  });

  it("is not believed when its metadata is somebody else's, or sends keys elsewhere in the clear", async () => {
    metadata = { issuer: "https://evil.example", jwks_uri: `${issuer}/jwks` };
    await expectCode(open().verify(await tokenOf(), "/mcp"), "OAUTH_UNAVAILABLE");
    metadata = { issuer, jwks_uri: "http://keys.example/jwks" };
    await expectCode(open().verify(await tokenOf(), "/mcp"), "OAUTH_UNAVAILABLE");
    metadata = { issuer, jwks_uri: `${issuer}/jwks`, padding: "x".repeat(70_000) };
    await expectCode(open().verify(await tokenOf(), "/mcp"), "OAUTH_UNAVAILABLE");
  });

  it.for([
    { issuer: "http://auth.example" },
    { issuer: "auth.example" },
    { audience: "http://hub.example" },
    { audience: "https://hub.example/mcp" },
    { audience: "https://hub.example/?x" },
    { audience: "" },
    { jwksUri: "file:///etc/keys" },
  ])("%o is no configuration", async (options) => {
    await expectCode(() => open(options), "OAUTH_CONFIG_INVALID");
  });
});

describe("a hub that accepts access tokens", () => {
  it("says where they come from, takes them beside its own, and nothing else", async () => {
    await using fleet = new TestFleet();
    const http = { host: "127.0.0.1", port: 0 };
    const hub = await fleet.hub("pc1", { http, apps: { echo: testApp() }, oauth: { issuer, audience } });
    const get = (path: string, token?: string) =>
      fetch(`${hub.url}${path}`, token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } });
    const challenge = (await get("/mcp")).headers.get("www-authenticate")!;
    expect(challenge).toBe(`Bearer resource_metadata="${audience}/.well-known/oauth-protected-resource/mcp"`);
    expect(await (await get(`/.well-known/oauth-protected-resource/mcp`)).json()).toEqual({
      resource: `${audience}/mcp`,
      authorization_servers: [issuer],
      bearer_methods_supported: ["header"],
      scopes_supported: ["ReadOnly", "ReadWrite", "Admin"],
      resource_name: "fed hub pc1",
    });
    const real = { atSeconds: Math.floor(Date.now() / 1000) };
    const own = (await hub.operators.issueToken({ name: "ann", scope: "ReadOnly" })).token;
    const external = await tokenOf({ scope: "ReadOnly" }, real);
    for (const token of [own, external]) expect((await get("/api/federation/identity", token)).status).toBe(200);
    const post = await fetch(`${hub.url}/api/federation/agent-tokens`, {
      method: "POST",
      headers: { authorization: `Bearer ${external}` },
      body: JSON.stringify({ name: "x", scope: "ReadOnly" }),
    });
    expect(post.status).toBe(403);
    expect(post.headers.get("www-authenticate")).toContain('error="insufficient_scope", scope="Admin"');
    const without = await get("/api/federation/identity", await tokenOf({ scope: "openid" }, real));
    expect([without.status, without.headers.get("www-authenticate")]).toEqual([
      403,
      expect.stringContaining('error="insufficient_scope", scope="ReadOnly"'),
    ]);
  });

  it("none is accepted unless it is configured", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http: { host: "127.0.0.1", port: 0 } });
    const answer = await fetch(`${hub.url}/mcp`, { headers: { authorization: `Bearer ${await tokenOf()}` } });
    expect(answer.status).toBe(401);
    expect(asked).toEqual([]);
    for (const [path, resource] of [
      ["", ""],
      ["/mcp", "/mcp"],
      ["/apps/pc1/echo/mcp", "/apps/pc1/echo/mcp"],
    ]) {
      const response = await fetch(`${hub.url}/.well-known/oauth-protected-resource${path}`);
      expect(await response.json()).toEqual({
        resource: `${hub.url}${resource}`,
        bearer_methods_supported: ["header"],
        scopes_supported: ["ReadOnly", "ReadWrite", "Admin"],
        resource_name: "fed hub pc1",
      });
    }
    for (const path of ["/api", "/apps/pc1/mcp", "/mcp/x", "/apps/pc1/echo/mcp/x"]) {
      expect((await fetch(`${hub.url}/.well-known/oauth-protected-resource${path}`)).status).toBe(401);
    }
  });
});
