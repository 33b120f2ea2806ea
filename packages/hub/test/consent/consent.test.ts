import { expectCode } from "@fed/core/testing";
import type { Notification } from "@fed/router";
import { McpServer } from "@modelcontextprotocol/server";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { AppConfig, Approval, Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";

/** An app whose tools can read, write and do worse; it keeps what was done. */
function notesApp(done: unknown[] = []): AppConfig {
  return {
    server: () => {
      const server = new McpServer({ name: "notes", version: "1.0.0" });
      const tools = { read: { readOnlyHint: true }, write: undefined, wipe: { destructiveHint: true } };
      for (const [name, annotations] of Object.entries(tools)) {
        server.registerTool(name, { inputSchema: z.object({}).loose(), annotations }, (input) => {
          done.push([name, input]);
          return { content: [{ type: "text", text: `${name} is done` }] };
        });
      }
      return server;
    },
  };
}

const http = { host: "127.0.0.1", port: 0 };

/** `pc1`, whose operator ann calls, and `pc2`, which owns `notes` and shares it with everybody. */
async function twoHubs(fleet: TestFleet, done: unknown[] = [], options: object = {}): Promise<{ pc1: Hub; pc2: Hub }> {
  const hubs = await pair(fleet, { pc1: { http }, pc2: { http, apps: { notes: notesApp(done) }, ...options } });
  await hubs.pc2.sharing.share("notes", "cluster");
  return hubs;
}

interface Options {
  readonly signal?: AbortSignal;
  readonly arguments?: Record<string, unknown>;
  readonly idempotencyKey?: string;
  readonly onNotification?: (notification: Notification) => void;
  readonly name?: string;
}

function call(from: Hub, tool: string, { arguments: args = {}, name = "ann", ...options }: Options = {}) {
  const operator = from.operators.local(name, { roles: ["nurse"] });
  return from.apps.call({ hub: "pc2", app: "notes", tool, arguments: args }, { operator, ...options });
}

/** Resolves with the first call that waits. */
async function asked(hub: Hub, count = 1): Promise<Approval> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const check = () => hub.approvals.pending().length >= count && resolve();
  const stop = hub.approvals.watch(check);
  check();
  await promise;
  stop();
  return hub.approvals.pending().at(-1)!;
}

const boss = (hub: Hub) => ({ operator: hub.operators.local("boss") });

describe("a call that is to be asked about", () => {
  it("waits for the operator of the owning hub, who sees who wants what, without secrets", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    await pc2.consent.change("notes", "*", { write: "ask" });
    const heard: Notification[] = [];
    const calling = call(pc1, "write", {
      arguments: { title: "milk", password: "hunter2", text: "x".repeat(10_000) },
      onNotification: (notification) => heard.push(notification),
    });
    const approval = await asked(pc2);
    expect(done).toEqual([]);
    expect(approval).toMatchObject({
      operator: `ann@${pc1.hubId}`,
      hub: "pc1",
      homeHub: pc1.hubId,
      roles: ["nurse"],
      app: "notes",
      tool: "write",
      risk: "write",
      arguments: { title: "milk", password: "[redacted]" },
    });
    expect(approval.expiresAtMs - approval.askedAtMs).toBe(120_000);
    expect(JSON.stringify(approval.arguments).length).toBeLessThanOrEqual(2048);
    await expect.poll(() => heard[0]?.params).toMatchObject({ message: "waiting for approval on pc2" });
    await pc2.approvals.answer(approval.id, "once", boss(pc2));
    await calling;
    expect(done).toHaveLength(1);
    expect(pc2.approvals.pending()).toEqual([]);
  });

  it("is refused when it is denied, and from then on when it is never to run; the audit log holds no bodies", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    await pc2.consent.change("notes", "*", { write: "ask", execute: "ask" });
    const denied = expectCode(
      call(pc1, "wipe", { arguments: { password: "hunter2", text: "Pl4nted" } }),
      "CONSENT_DENIED",
    );
    const approval = await asked(pc2);
    expect(approval.risk).toBe("execute");
    await pc2.approvals.answer(approval.id, "never", boss(pc2));
    await denied;
    await expectCode(call(pc1, "wipe"), "CONSENT_DENIED");
    expect(done).toEqual([]);
    const records = (await pc2.audit.tail(100)).map(({ record }) => record);
    expect(records.slice(-3)).toMatchObject([
      {
        type: "approval.answered",
        decision: "never",
        by: `boss@${pc2.hubId}`,
        operator: `ann@${pc1.hubId}`,
        tool: "wipe",
      },
      { type: "call.decision", decision: "deny", rule: "consent: CONSENT_DENIED", tool: "wipe" },
      { type: "call.decision", decision: "deny", rule: "consent: CONSENT_DENIED" },
    ]);
    expect(JSON.stringify(records)).not.toMatch(/hunter2|Pl4nted/);

    // A read is not asked about, and a yes for the session holds for the next call.
    await call(pc1, "read");
    const allowed = call(pc1, "write");
    await pc2.approvals.answer((await asked(pc2)).id, "session", boss(pc2));
    await allowed;
    await call(pc1, "write");
    expect(done).toHaveLength(3);
    expect((await pc2.audit.tail(2))[0]?.record).toMatchObject({ decision: "allow", consent: "session" });
  });

  it("is refused when nobody answers in the time the owner sets", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { notes: notesApp() }, approvalTimeoutMs: 50 } });
    await pc2.sharing.share("notes", "cluster");
    await pc2.consent.change("notes", "write", { write: "ask" });
    const error = await expectCode(call(pc1, "write"), "CONSENT_TIMEOUT");
    expect(error.hint).toContain("fed approvals watch");
    expect(pc2.approvals.pending()).toEqual([]);
  });

  it("of the hub's own operator waits as well", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc2", { apps: { notes: notesApp() } });
    await hub.consent.change("notes", "*", { write: "ask" });
    const calling = call(hub, "write");
    const approval = await asked(hub);
    expect(approval).toMatchObject({ operator: `ann@${hub.hubId}`, hub: "pc2", risk: "write" });
    await hub.approvals.answer(approval.id, "once", boss(hub));
    await calling;
  });
});

describe("while a call waits", () => {
  it("its caller may cancel it, and a revocation of its operator does", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    await pc2.consent.change("notes", "*", { write: "ask" });
    const cancel = new AbortController();
    const cancelled = expectCode(call(pc1, "write", { signal: cancel.signal }), "ABORTED");
    await asked(pc2);
    cancel.abort();
    await cancelled;
    await expect.poll(() => pc2.approvals.pending()).toEqual([]);

    const revoked = expectCode(call(pc1, "write"), "OPERATOR_REVOKED");
    await asked(pc2);
    await pc1.cluster.revoke({ kind: "operator", id: `ann@${pc1.hubId}` }, "left");
    await revoked;
    await expect.poll(() => pc2.approvals.pending()).toEqual([]);
    expect(done).toEqual([]);
  });

  it("a repetition under its idempotency key waits with it, and it runs once", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    await pc2.consent.change("notes", "*", { write: "ask" });
    const both = [call(pc1, "write", { idempotencyKey: "k" }), call(pc1, "write", { idempotencyKey: "k" })];
    const approval = await asked(pc2);
    await expect.poll(async () => (await pc2.audit.tail(1))[0]?.record).toMatchObject({ replay: true });
    await pc2.approvals.answer(approval.id, "once", boss(pc2));
    await Promise.all(both);
    expect(done).toHaveLength(1);
  });
});

describe("what the owner set", () => {
  it("outlives a restart; what was answered does not", async () => {
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc2", { apps: { notes: notesApp() } });
    await hub.consent.change("notes", "write", { write: "ask", risk: "write" });
    const calling = call(hub, "write");
    await hub.approvals.answer((await asked(hub)).id, "session", boss(hub));
    await calling;
    await hub.close();
    const again = await fleet.hub("pc2", { apps: { notes: notesApp() } });
    expect(again.consent.rules).toEqual({ version: 1, apps: { notes: { write: { write: "ask", risk: "write" } } } });
    expect(again.approvals.standing()).toEqual([]);
    const waiting = call(again, "write");
    await again.approvals.answer((await asked(again)).id, "once", boss(again));
    await waiting;
  });

  it("decides what a token for reading may call, whatever its own hub or the app thinks", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await twoHubs(fleet);
    const operator = pc1.operators.local("ann", { scope: "ReadOnly" });
    const read = (tool: string) => pc1.apps.call({ hub: "pc2", app: "notes", tool }, { operator });
    await read("read");
    await expectCode(read("write"), "SHARING_DENIED");
    await pc2.consent.change("notes", "read", { risk: "write" });
    await pc2.consent.change("notes", "write", { risk: "read" });
    await read("write");
    await expectCode(read("read"), "SHARING_DENIED");
    // What the caller's hub says of tools counts for nothing.
    await pc1.consent.change("notes", "*", { risk: "read" });
    await expectCode(read("read"), "SHARING_DENIED");
    expect(await pc2.consent.tools("notes", boss(pc2))).toMatchObject([
      { tool: "read", risk: "write", by: "owner" },
      { tool: "write", risk: "read", by: "owner" },
      { tool: "wipe", risk: "execute", by: "app" },
    ]);
  });
});

describe("over REST", () => {
  it("an operator of the owning hub lists, answers and takes back; nobody without the scope Admin", async () => {
    await using fleet = new TestFleet();
    const done: unknown[] = [];
    const { pc1, pc2 } = await twoHubs(fleet, done);
    const { token } = await pc2.operators.issueToken({ name: "boss", scope: "Admin" });
    const api = async (method: string, path: string, body?: object, bearer = token) => {
      const answer = await fetch(`${pc2.url}/api/federation${path}`, {
        method,
        headers: { authorization: `Bearer ${bearer}` },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, never> };
    };
    const set = await api("POST", "/tool-rules", { app: "notes", write: "ask" });
    expect(set.body).toEqual({ version: 1, apps: { notes: { "*": { write: "ask" } } } });
    expect((await api("GET", "/tool-rules")).body).toEqual(set.body);
    expect((await api("GET", "/apps/notes/tools")).body).toMatchObject([
      { tool: "read" },
      { tool: "write", asked: true },
      {},
    ]);

    const calling = call(pc1, "write");
    const { id } = await asked(pc2);
    expect((await api("GET", "/approvals")).body).toMatchObject({
      pending: [{ id, tool: "write", hub: "pc1" }],
      standing: [],
    });
    const writer = await pc2.operators.issueToken({ name: "agent", scope: "ReadWrite" });
    for (const [method, path] of [
      ["GET", "/approvals"],
      ["POST", `/approvals/${id}`],
      ["DELETE", `/approvals/${id}`],
    ] as const) {
      expect((await api(method, path, method === "POST" ? { decision: "once" } : undefined, writer.token)).status).toBe(
        403,
      );
    }
    expect(await api("POST", `/approvals/${id}`, { decision: "maybe" })).toMatchObject({
      status: 400,
      body: { code: "REQUEST_INVALID" },
    });
    expect(await api("POST", `/approvals/${id}`, { decision: "session" })).toMatchObject({
      status: 200,
      body: { decision: "session", approval: { id } },
    });
    await calling;
    expect(await api("POST", `/approvals/${id}`, { decision: "once" })).toMatchObject({
      status: 404,
      body: { code: "APPROVAL_UNKNOWN" },
    });
    const [standing] = pc2.approvals.standing();
    expect(standing).toMatchObject({ decision: "session", by: `boss@${pc2.hubId}` });
    expect((await api("DELETE", `/approvals/${standing!.id}`)).status).toBe(200);
    expect(pc2.approvals.standing()).toEqual([]);
    expect((await api("POST", "/tool-rules", { app: "notes", write: null })).body).toMatchObject({ apps: {} });
  });
});
