import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Home } from "./home.js";

interface Token {
  readonly id: string;
  readonly token: string;
  readonly state: string;
  readonly parent?: string;
  readonly lastUsedAtMs?: number;
}

const create = ["token", "create", "--name"];

function ask(url: string, token: string, path = "/api/federation/identity", method = "GET"): Promise<Response> {
  return fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
}

describe("on a running hub", () => {
  const home = new Home();
  let url: string;
  beforeAll(async () => {
    await home.init("pc1");
    ({
      up: { url },
    } = await home.up("pc1", "--mcp-config", home.apps("pc1", "notes", "mail")));
  });
  afterAll(() => home[Symbol.asyncDispose]());

  it("a token is made, used, listed and revoked, and its children with it", async () => {
    const parent = await home.json<Token>("pc1", ...create, "ann", "--scope", "ReadWrite", "--ttl", "1h");
    const child = await home.json<Token>("pc1", ...create, "helper", "--parent", parent.id, "--scope", "ReadOnly");
    expect((await ask(url, child.token)).status).toBe(200);
    const listed = await home.json<Token[]>("pc1", "token", "list");
    expect(listed).toMatchObject([
      { id: parent.id, state: "active", scope: "ReadWrite" },
      { id: child.id, state: "active", scope: "ReadOnly", parent: parent.id, lastUsedAtMs: expect.any(Number) },
    ]);
    expect(JSON.stringify(listed)).not.toContain(parent.token);

    expect(await home.text("pc1", "token", "revoke", parent.id)).toBe(
      `${parent.id} (ann) is revoked.\n${child.id} (helper) is revoked.\n`,
    );
    for (const { token } of [parent, child]) expect((await ask(url, token)).status).toBe(401);
    expect(await home.text("pc1", "token", "revoke", parent.id)).toBe(`${parent.id} had ended before.\n`);
    const text = await home.text("pc1", "token", "list");
    expect(text).toMatch(/^ID +NAME +OPERATOR +SCOPE +FOR +STATE +USED +PARENT\n/);
    expect(text).toMatch(
      new RegExp(`^${child.id} +helper +ann +ReadOnly +all apps +revoked +\\d+ s ago +${parent.id}$`, "m"),
    );
  });

  it("for some apps and tools only, says so in words", async () => {
    const text = await home.text("pc1", ...create, "bob", "--scope", "ReadWrite", "--app", "pc1/notes", "mail");
    expect(text).toMatch(
      /^fedop1\.\S+\n\nIt is tok_[a-z2-7]{8}: ReadWrite, for pc1\/notes mail, until revoked\. It is not shown again\.\n$/,
    );
    const narrow = [...create, "bob", "--scope", "ReadWrite", "--app", "pc1/notes", "--tool", "echo", "add"];
    expect(await home.json("pc1", ...narrow)).toMatchObject({
      allow: [
        { hub: "pc1", app: "notes", tool: "echo" },
        { hub: "pc1", app: "notes", tool: "add" },
      ],
    });
  });

  it("is refused where it would be more than its parent, or is not there", async () => {
    const { id } = await home.json<Token>("pc1", ...create, "eve", "--scope", "ReadOnly");
    await home.refused("pc1", [...create, "x", "--parent", id, "--scope", "ReadWrite"], "AGENT_TOKEN_TOO_WIDE");
    await home.refused("pc1", ["token", "revoke", "tok_aaaaaaaa"], "AGENT_TOKEN_UNKNOWN");
    await home.refused("pc1", [...create, "x", "--scope", "ReadOnly", "--app", "pc9/notes"], "NOT_IN_CLUSTER");
  });
});

describe("on a stopped hub", () => {
  it("the same commands do the same", async () => {
    await using home = new Home();
    await home.init("pc1");
    const made = await home.json<Token>("pc1", ...create, "ann", "--scope", "ReadOnly", "--role", "nurse");
    const gone = await home.json<Token>("pc1", ...create, "ann", "--scope", "ReadOnly");
    expect(await home.json("pc1", "token", "revoke", gone.id)).toMatchObject([{ id: gone.id, state: "revoked" }]);
    const { up } = await home.up("pc1");
    expect((await ask(up.url, made.token)).status).toBe(200);
    expect((await ask(up.url, gone.token)).status).toBe(401);
    const states = (await home.json<Token[]>("pc1", "token", "list")).map(({ id, state }) => [id, state]);
    expect(states).toEqual([
      [made.id, "active"],
      [gone.id, "revoked"],
    ]);
  });
});

describe("what is wrong with the command line", () => {
  const home = new Home();
  beforeAll(() => home.init("pc1"));
  afterAll(() => home[Symbol.asyncDispose]());

  it.for([
    ["no name", ["token", "create", "--scope", "ReadOnly"]],
    ["no scope", [...create, "x"]],
    ["no such scope", [...create, "x", "--scope", "Root"]],
    ["tools of no app", [...create, "x", "--scope", "ReadOnly", "--tool", "echo"]],
    ["no HUB/APP", [...create, "x", "--scope", "ReadOnly", "--app", "a/b/c"]],
    ["no duration", [...create, "x", "--scope", "ReadOnly", "--ttl", "soon"]],
    ["no id", ["token", "revoke"]],
  ] as const)("%s is USAGE", async ([, args]) => void (await home.refused("pc1", args, "USAGE", 2)));
});
