import { encodeBase32, randomBytes, type Store, StoreError } from "@fed/core";
import { createMemoryStore } from "@fed/core/memory";
import { createTestClock, expectCode, type TestClock } from "@fed/core/testing";
import { beforeEach, describe, expect, it } from "vitest";
import { HubError, type IssuedToken } from "../src/index.js";
import { type OperatorTokens, openOperatorTokens, tokenLimits } from "../src/operators/tokens.js";

const hubId = encodeBase32(randomBytes(16));
const pc2 = encodeBase32(randomBytes(16));
const hourMs = 60 * 60_000;

let clock: TestClock;
let store: Store;
let tokens: OperatorTokens;
let events: Record<string, unknown>[];
let revoked: string[][];
/** While set, every write fails. */
let diskIsFull: boolean;
/** What writes wait for. */
let disk: Promise<void>;
/** How far the wall clock was set back. */
let backMs: number;

beforeEach(async () => {
  const steady = createTestClock();
  clock = { ...steady, nowMs: () => steady.nowMs() - backMs };
  backMs = 0;
  disk = Promise.resolve();
  const memory = createMemoryStore();
  diskIsFull = false;
  store = {
    ...memory,
    get: (key) => memory.get(key),
    list: (prefix) => memory.list(prefix),
    delete: (key) => memory.delete(key),
    set: async (key, value) => {
      await disk;
      if (diskIsFull) throw new StoreError({ code: "STORE_FULL", message: "The disk is full." });
      return memory.set(key, value);
    },
  } as Store;
  events = [];
  revoked = [];
  tokens = await open();
});

function open(): Promise<OperatorTokens> {
  return openOperatorTokens({
    store,
    clock,
    hubId,
    resolveHub(hub) {
      if (hub === "pc2" || hub === pc2) return pc2;
      throw new HubError({ code: "HUB_UNKNOWN", message: "No such hub." });
    },
    nameOfHub: (id) => (id === pc2 ? "pc2" : undefined),
    onChange: (event) => events.push(event),
    onRevoked: (ids) => revoked.push([...ids].sort()),
    onError: () => {},
  });
}

const root = (request: object = {}) => tokens.issue({ name: "ann", scope: "ReadWrite", ...request });
const isRefused = (token: string) => expectCode(() => tokens.authenticate(token), "UNAUTHENTICATED");

describe("a token", () => {
  it("stands for its operator, with its own id for the audit log", async () => {
    const made = await root({ roles: ["nurse"] });
    expect(made).toMatchObject({
      id: `tok_${made.token.split(".")[1]}`,
      name: "ann",
      operator: `ann@${hubId}`,
      scope: "ReadWrite",
      roles: ["nurse"],
      state: "active",
      createdAtMs: clock.nowMs(),
    });
    expect(tokens.authenticate(made.token)).toEqual({
      principal: `ann@${hubId}`,
      roles: ["nurse"],
      scope: "ReadWrite",
      token: made.id,
    });
    expect(events).toMatchObject([{ type: "token.issued", token: made.id, operator: `ann@${hubId}` }]);
  });

  it("is stored as its SHA-256 alone, and outlives a restart", async () => {
    const { token, id } = await root({ allow: [{ hub: "pc2", app: "notes" }] });
    const stored = (await store.list([])).map(({ value }) => new TextDecoder().decode(value)).join();
    expect(stored).toContain(id);
    expect(stored).not.toContain(token.split(".")[2]);
    tokens = await open();
    expect(tokens.authenticate(token).allow).toEqual([{ hub: pc2, app: "notes" }]);
  });

  it("that is changed in any character is nobody's", async () => {
    const { token } = await root();
    for (let i = 0; i < token.length; i++) {
      await isRefused(`${token.slice(0, i)}${token[i] === "a" ? "b" : "a"}${token.slice(i + 1)}`);
    }
    for (const text of ["", "fedop1..", `${token}a`, token.toUpperCase(), token.slice(0, -1), "x".repeat(10_000)]) {
      await isRefused(text);
    }
  });

  it("ends when its time is over", async () => {
    const { token, id, expiresAtMs } = await root({ ttlMs: hourMs });
    expect(expiresAtMs).toBe(clock.nowMs() + hourMs);
    await clock.advance(hourMs - 1);
    tokens.authenticate(token);
    await clock.advance(1);
    await isRefused(token);
    expect(tokens.get(id).state).toBe("expired");
    tokens = await open();
    await isRefused(token);
  });

  it("that cannot be stored is not given out", async () => {
    diskIsFull = true;
    await expectCode(root(), "STORE_FULL");
    expect(tokens.list()).toEqual([]);
    expect(events).toEqual([]);
  });

  it.for([
    ["no scope", { scope: undefined }],
    ["an unknown scope", { scope: "Root" }],
    ["no name", { name: "" }],
    ["a name that is none", { name: "Ann Smith" }],
    ["a role that is none", { roles: ["x y"] }],
    ["too many roles", { roles: Array.from({ length: 17 }, (_, i) => `r${i}`) }],
    ["an empty list", { allow: [] }],
    ["an entry that names nothing", { allow: [{}] }],
    ["too many entries", { allow: Array.from({ length: 65 }, () => ({ app: "a" })) }],
    ["an app that is none", { allow: [{ app: "../x" }] }],
    ["a time too short", { ttlMs: 999 }],
    ["a time without end", { ttlMs: Number.POSITIVE_INFINITY }],
    ["a time that is none", { ttlMs: Number.NaN }],
    ["an Admin for some apps only", { scope: "Admin", allow: [{ app: "notes" }] }],
    ["more than there is to ask", { extra: 1 }],
  ] as const)("is refused with %s", async ([, request]) => {
    await expectCode(root(request), "REQUEST_INVALID");
    expect(tokens.list()).toEqual([]);
  });

  it("is for hubs that are known", async () => {
    await expectCode(root({ allow: [{ hub: "pc9", app: "notes" }] }), "HUB_UNKNOWN");
  });

  it("says when it was used, to the minute even after a crash", async () => {
    const { token, id } = await root();
    expect(tokens.get(id).lastUsedAtMs).toBeUndefined();
    await clock.advance(5_000);
    tokens.authenticate(token);
    const usedAtMs = clock.nowMs();
    expect(tokens.get(id).lastUsedAtMs).toBe(usedAtMs);
    await clock.advance(tokenLimits.usedEveryMs);
    tokens = await open();
    expect(tokens.get(id).lastUsedAtMs).toBe(usedAtMs);
  });

  it("whose record is damaged stops the hub from starting", async () => {
    await root();
    const [entry] = await store.list(["agent-token"]);
    await store.set(entry!.key, new TextEncoder().encode('{"id":"tok_aaaaaaaa"}'));
    await expectCode(open(), "STATE_CORRUPT");
  });
});

describe("the token of this run", () => {
  it("is an Admin's, and no longer good in the next one", async () => {
    const token = tokens.issueForThisRun("admin");
    expect(tokens.authenticate(token)).toEqual({ principal: `admin@${hubId}`, roles: [], scope: "Admin" });
    expect(tokens.list()).toEqual([]);
    tokens = await open();
    await isRefused(token);
  });
});

describe("a child", () => {
  it("has its parent's operator, and by default all else of it", async () => {
    const parent = await root({ roles: ["nurse"], allow: [{ app: "notes" }], ttlMs: hourMs });
    const child = await tokens.issue({ name: "helper", parent: parent.id });
    expect(child).toMatchObject({
      name: "helper",
      parent: parent.id,
      operator: parent.operator,
      roles: ["nurse"],
      scope: "ReadWrite",
      allow: [{ app: "notes" }],
      expiresAtMs: parent.expiresAtMs,
    });
    expect(tokens.authenticate(child.token)).toEqual({
      principal: parent.operator,
      roles: ["nurse"],
      scope: "ReadWrite",
      token: child.id,
      allow: [{ app: "notes" }],
      expiresAtMs: parent.expiresAtMs,
    });
  });

  it("may be less than its parent in every way", async () => {
    const parent = await root({ roles: ["a", "b"], allow: [{ app: "notes" }, { hub: "pc2" }], ttlMs: hourMs });
    const request = {
      name: "helper",
      parent: parent.id,
      scope: "ReadOnly",
      roles: ["b"],
      allow: [{ hub: "pc2", app: "mail", tool: "search" }],
      ttlMs: 60_000,
    } as const;
    expect(await tokens.issue(request)).toMatchObject({ scope: "ReadOnly", roles: ["b"], allow: request.allow });
  });

  it.for([
    ["scope", { scope: "Admin" }],
    ["roles", { roles: ["a", "c"] }],
    ["apps", { allow: [{ app: "mail" }] }],
    ["tools", { allow: [{ hub: "pc2" }] }],
    ["time", { ttlMs: 2 * hourMs }],
  ] as const)("never has more %s", async ([, more]) => {
    const parent = await root({ roles: ["a", "b"], allow: [{ app: "notes" }], ttlMs: hourMs });
    const wide = { name: "helper", parent: parent.id, ...more };
    const code = "scope" in more ? "REQUEST_INVALID" : "AGENT_TOKEN_TOO_WIDE";
    await expectCode(tokens.issue(wide), code);
    const plain = await root();
    if ("scope" in more) await expectCode(tokens.issue({ ...wide, parent: plain.id }), "AGENT_TOKEN_TOO_WIDE");
    expect(tokens.list(parent.id)).toHaveLength(1);
  });

  it("is refused below what is not there, has ended, or is deep enough", async () => {
    await expectCode(tokens.issue({ name: "x", parent: "tok_aaaaaaaa" }), "AGENT_TOKEN_UNKNOWN");
    const short = await root({ ttlMs: 1000 });
    await clock.advance(1000);
    await expectCode(tokens.issue({ name: "x", parent: short.id }), "AGENT_TOKEN_TOO_WIDE");
    let last = await root();
    for (let i = 0; i < tokenLimits.depth; i++) last = await tokens.issue({ name: `c${i}`, parent: last.id });
    await expectCode(tokens.issue({ name: "x", parent: last.id }), "AGENT_TOKEN_LIMIT");
  });

  it("is one of at most 64 that are good, also when all are asked for at once", async () => {
    const parent = await root();
    const asked = Array.from({ length: tokenLimits.children + 10 }, (_, i) =>
      tokens.issue({ name: `c${i}`, parent: parent.id }).catch((error: HubError) => error.code),
    );
    const made = (await Promise.all(asked)).filter((child) => typeof child !== "string");
    expect(made).toHaveLength(tokenLimits.children);
    await tokens.revoke(made[0]!.id);
    await tokens.issue({ name: "next", parent: parent.id });
  });

  it("is one of at most 512 that go back to the same first one, which leaves room for others", async () => {
    const parent = await root();
    const children: IssuedToken[] = [];
    for (let i = 0; i < 8; i++) children.push(await tokens.issue({ name: `c${i}`, parent: parent.id }));
    let made = children.length;
    for (const child of children) {
      for (let i = 0; i < tokenLimits.children && made < tokenLimits.line; i++, made++) {
        await tokens.issue({ name: "grandchild", parent: child.id });
      }
    }
    await expectCode(tokens.issue({ name: "x", parent: children.at(-1)!.id }), "AGENT_TOKEN_LIMIT");
    await expectCode(tokens.issue({ name: "x", parent: parent.id }), "AGENT_TOKEN_LIMIT");
    await tokens.issue({ name: "x", parent: (await root()).id });
    await tokens.revoke(children[0]!.id);
    await tokens.issue({ name: "x", parent: parent.id });
  });
});

describe("revoking", () => {
  it("ends a token and all below it at once, and tells whose calls to cut", async () => {
    const top = await root();
    const child = await tokens.issue({ name: "child", parent: top.id });
    const grandchild = await tokens.issue({ name: "grandchild", parent: child.id });
    const sibling = await tokens.issue({ name: "sibling", parent: top.id });
    const { promise, resolve: write } = Promise.withResolvers<void>();
    disk = promise;
    const revoking = tokens.revoke(child.id);
    await isRefused(child.token);
    await isRefused(grandchild.token);
    expect(revoked).toEqual([[child.id, grandchild.id].sort()]);
    expect(events.at(-1)).toMatchObject({ type: "token.issued" });
    write();
    expect((await revoking).map(({ id, state }) => [id, state])).toEqual([
      [child.id, "revoked"],
      [grandchild.id, "revoked"],
    ]);
    tokens.authenticate(top.token);
    tokens.authenticate(sibling.token);
    expect(events.at(-1)).toEqual({ type: "token.revoked", token: child.id, operator: top.operator, ended: 2 });
    expect(tokens.isUnder(grandchild.id, top.id)).toBe(true);
    expect(tokens.isUnder(sibling.id, child.id)).toBe(false);
  });

  it("is durable when it answers: one record holds for all below it", async () => {
    const top = await root();
    const child = await tokens.issue({ name: "child", parent: top.id });
    await tokens.revoke(top.id);
    tokens = await open();
    await isRefused(top.token);
    await isRefused(child.token);
    expect(tokens.list().map(({ state }) => state)).toEqual(["revoked", "revoked"]);
  });

  it("that cannot be stored is in force all the same, and says so; the next try stores it", async () => {
    const { id, token } = await root();
    diskIsFull = true;
    await expectCode(tokens.revoke(id), "STORE_FULL");
    await isRefused(token);
    diskIsFull = false;
    await tokens.revoke(id);
    tokens = await open();
    await isRefused(token);
  });

  it("is not undone by a use that is written down later, nor by a clock that is set back", async () => {
    const { id, token } = await root();
    tokens.authenticate(token);
    await tokens.revoke(id);
    await clock.advance(2 * tokenLimits.usedEveryMs);
    backMs = 10 * hourMs;
    await isRefused(token);
    tokens = await open();
    await isRefused(token);
  });

  it("twice changes nothing", async () => {
    const { id } = await root();
    await tokens.revoke(id);
    const { revokedAtMs } = tokens.get(id);
    await clock.advance(1000);
    expect(await tokens.revoke(id)).toEqual([]);
    expect(tokens.get(id).revokedAtMs).toBe(revokedAtMs);
    expect(revoked).toHaveLength(1);
    await expectCode(tokens.revoke("tok_aaaaaaaa"), "AGENT_TOKEN_UNKNOWN");
  });

  it("leaves it in the list for a week", async () => {
    const top = await root();
    const child = await tokens.issue({ name: "child", parent: top.id, ttlMs: hourMs });
    const other = await root();
    await tokens.revoke(top.id);
    await clock.advance(tokenLimits.keptMs - 1);
    tokens = await open();
    expect(new Set(tokens.list().map(({ id }) => id))).toEqual(new Set([top.id, child.id, other.id]));
    await clock.advance(1);
    tokens = await open();
    expect(tokens.list().map(({ id }) => id)).toEqual([other.id]);
    expect(await store.list(["agent-token"])).toHaveLength(1);
    await isRefused(child.token);
  });
});

describe("a hub full of tokens", () => {
  it("makes room from those that have ended, and refuses when there are none", async () => {
    const first = await root();
    const made: IssuedToken[] = [];
    for (let i = 1; i < tokenLimits.tokens; i++) made.push(await root());
    await expectCode(root(), "AGENT_TOKEN_LIMIT");
    tokens.authenticate(first.token);
    await tokens.revoke(made[0]!.id);
    await clock.advance(1);
    await tokens.revoke(made[1]!.id);
    const next = await root();
    await expectCode(() => tokens.get(made[0]!.id), "AGENT_TOKEN_UNKNOWN");
    expect(tokens.get(made[1]!.id).state).toBe("revoked");
    tokens.authenticate(next.token);
    await isRefused(made[0]!.token);
  });
});
