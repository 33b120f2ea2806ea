import type { FedError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { McpServer } from "@modelcontextprotocol/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { type AppConfig, type Hub, HubError, type TapEvent } from "../../src/index.js";
import { openTapStream } from "../../src/surface/tap-stream.js";
import { pair, TestFleet } from "../fleet.js";

const secret = "sk-abcdefghijklmnopqrstuvwxyz";
const fleet = new TestFleet();
let pc1: Hub;
let pc2: Hub;

function app(): AppConfig {
  return {
    server: () => {
      const server = new McpServer({ name: "notes", version: "1.0.0" }, { capabilities: { tools: {} } });
      const input = z.object({
        text: z.string().optional(),
        password: z.string().optional(),
        steps: z.number().optional(),
        answer: z.string().optional().meta({ writeOnly: true }),
        listed: z.string().optional(),
      });
      server.registerTool("add", { inputSchema: input }, async ({ text = "", steps = 0 }, { mcpReq }) => {
        const progressToken = mcpReq._meta?.progressToken;
        for (let progress = 1; progress <= steps && progressToken !== undefined; progress++)
          await mcpReq.notify({ method: "notifications/progress", params: { progress, progressToken } });
        return { content: [{ type: "text", text: `${text} ${secret}` }], structuredContent: { apiKey: secret, text } };
      });
      return server;
    },
  };
}

beforeAll(async () => {
  ({ pc1, pc2 } = await pair(fleet, {
    pc1: { apps: { notes: app() }, http: { host: "127.0.0.1", port: 0 } },
    pc2: { apps: { notes: app(), diary: app() } },
  }));
  await pc2.sharing.share("notes", "cluster");
});
afterAll(() => fleet[Symbol.asyncDispose]());

function add(hub: string, args: object, options: { readonly app?: string; readonly progress?: boolean } = {}) {
  return pc1.apps.call(
    { hub, app: options.app ?? "notes", tool: "add", arguments: { ...args } },
    {
      operator: pc1.operators.local("alice"),
      ...(options.progress ? { onNotification: () => {} } : {}),
    },
  );
}

describe("hub.tap", () => {
  it("shows a call on both hubs, from start to end, without what was said", async () => {
    const here: TapEvent[] = [];
    const there: TapEvent[] = [];
    const ends = [pc1.tap((event) => here.push(event)), pc2.tap((event) => there.push(event))];
    await add("pc2", { text: "hello", password: "hunter2", steps: 3 }, { progress: true });
    for (const end of ends) end();
    await add("pc2", {});

    const operator = `alice@${pc1.hubId}`;
    const call = { call: expect.any(String), operator, app: "notes", method: "tools/call", tool: "add" };
    const ended = { event: "ended", path: "lan", code: "ok", notifications: 3, durationMs: expect.any(Number) };
    expect(here).toMatchObject([
      { event: "started", side: "agent", hub: "pc2", requestBytes: expect.any(Number), ...call },
      { side: "agent", hub: "pc2", resultBytes: expect.any(Number), ...ended, ...call },
    ]);
    expect(there).toMatchObject([
      { event: "started", side: "peer", from: "pc1", hub: "pc2", ...call },
      { side: "peer", from: "pc1", hub: "pc2", ...ended, ...call },
    ]);
    const ids = [...here, ...there].map((event) => "call" in event && event.call);
    expect(new Set(ids).size).toBe(1);
    expect(JSON.stringify([here, there])).not.toMatch(/hello|hunter2|sk-/);
  });

  it("with bodies shows what was said, without secrets and cut to size", async () => {
    const events: TapEvent[] = [];
    const end = pc1.tap((event) => events.push(event), { bodies: true });
    await pc1.consent.change("notes", "*", { redact: ["listed"] });
    const marked = { answer: "hunter2 by its schema", listed: "hunter2 by its owner" };
    await add("pc1", { text: `hello ${"x".repeat(50_000)}`, password: "hunter2", ...marked });
    end();
    const text = JSON.stringify(events);
    expect(text).not.toMatch(/hunter2|sk-/);
    expect(events[0]).toMatchObject({ arguments: { password: "[redacted]", text: expect.stringMatching(/^hello x/) } });
    expect(events[1]).toMatchObject({ result: expect.any(Object), resultBytes: expect.any(Number) });
    expect(text.length).toBeLessThan(40_000);
  });

  it("shows the owner what its rules did not let through", async () => {
    const here: TapEvent[] = [];
    const there: TapEvent[] = [];
    const ends = [pc1.tap((event) => here.push(event)), pc2.tap((event) => there.push(event))];
    await expectCode(add("pc2", {}, { app: "diary" }), "SHARING_DENIED");
    await expectCode(add("pc1", {}, { app: "nothing" }), "APP_UNKNOWN");
    for (const end of ends) end();
    expect(there).toMatchObject([{ event: "denied", from: "pc1", app: "diary", tool: "add", rule: "default-deny" }]);
    expect(here).toMatchObject([
      { event: "started" },
      { event: "ended", code: "SHARING_DENIED", message: expect.any(String) },
      { event: "started" },
      { event: "ended", code: "APP_UNKNOWN" },
    ]);
  });

  it("shows the calls of one app, hub or operator alone", async () => {
    const seen = { app: 0, hub: 0, hubId: 0, operator: 0, principal: 0, nobody: 0 };
    const count = (name: keyof typeof seen) => (event: TapEvent) => void (event.event === "ended" && seen[name]++);
    const ends = [
      pc1.tap(count("app"), { app: "notes" }),
      pc1.tap(count("hub"), { hub: "pc2" }),
      pc1.tap(count("hubId"), { hub: pc2.hubId }),
      pc1.tap(count("operator"), { operator: "alice" }),
      pc1.tap(count("principal"), { operator: `alice@${pc1.hubId}` }),
      pc1.tap(count("nobody"), { operator: "bob" }),
    ];
    await add("pc1", {});
    await add("pc2", {});
    await expectCode(add("pc2", {}, { app: "diary" }), "SHARING_DENIED");
    for (const end of ends) end();
    expect(seen).toEqual({ app: 2, hub: 2, hubId: 2, operator: 3, principal: 3, nobody: 0 });
  });

  it("a listener that throws hurts nobody", async () => {
    const end = pc1.tap(() => {
      throw new TypeError("listener");
    });
    await add("pc1", {});
    end();
  });
});

describe("GET /api/federation/tap", () => {
  const open = async (scope: "Admin" | "ReadWrite", query = "", signal?: AbortSignal) => {
    const { token, id } = await pc1.operators.issueToken({ name: "watcher", scope });
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch(`${pc1.url}/api/federation/tap${query}`, { headers, ...(signal ? { signal } : {}) });
    return { answer, id };
  };

  it("is for administrators whose token is not narrowed", async () => {
    expect((await fetch(`${pc1.url}/api/federation/tap`)).status).toBe(401);
    const { answer } = await open("ReadWrite");
    expect(answer.status).toBe(403);
    expect(await answer.json()).toMatchObject({ code: "SCOPE_MISSING" });
    expect((await open("Admin", "?what=else")).answer.status).toBe(400);
  });

  it("streams events, to 16 readers at most", async () => {
    const closing = new AbortController();
    const { answer } = await open("Admin", "?app=notes&bodies=true", closing.signal);
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    await reader.read();
    await add("pc1", { text: "hello", password: "hunter2" });
    let text = "";
    while (!text.includes("event: ended")) text += (await reader.read()).value;
    expect(text).toMatch(/event: started\ndata: \{.*"password":"\[redacted\]".*\}\n\nevent: ended\ndata: \{.*\}\n\n/);

    const more = await Promise.all(Array.from({ length: 15 }, () => open("Admin", "", closing.signal)));
    expect(more.map(({ answer }) => answer.status)).toEqual(Array(15).fill(200));
    expect(await (await open("Admin")).answer.json()).toMatchObject({ code: "BUSY" });
    expect(await pc1.metrics()).toContain("fed_taps 16");
    closing.abort();
    await expect.poll(() => pc1.metrics()).toContain("fed_taps 0");
    const again = new AbortController();
    expect((await open("Admin", "", again.signal)).answer.status).toBe(200);
    again.abort();
  });

  it("ends at once with the token it was opened with", async () => {
    const { answer, id } = await open("Admin");
    const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
    await reader.read();
    const startMs = performance.now();
    await pc1.operators.revokeToken(id);
    let text = "";
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += chunk.value;
    expect(text).toMatch(/event: refused\ndata: \{"code":"UNAUTHENTICATED"/);
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe("a tap stream", () => {
  const event = (call: number): TapEvent =>
    ({ event: "denied", call: `call ${call}`, app: "notes", rule: "r" }) as unknown as TapEvent;

  function stream() {
    const clock = createTestClock();
    let refuse!: (error: FedError) => void;
    const standing = { onEnd: (end: typeof refuse) => (refuse = end), close: () => void seen.closed++ };
    let listener!: (event: TapEvent) => void;
    const seen = { untapped: 0, ended: 0, closed: 0 };
    const body = openTapStream(
      (show) => {
        listener = show;
        return () => void seen.untapped++;
      },
      { clock, standing, onEnd: () => void seen.ended++ },
    );
    return {
      clock,
      show: (shown: TapEvent) => listener(shown),
      refuse: (error: FedError) => refuse(error),
      seen,
      reader: body.getReader(),
    };
  }

  it("tells a slow reader how much it has missed, in its place", async () => {
    const { show, reader } = stream();
    await reader.read();
    for (let i = 0; i < 5000; i++) show(event(i));
    const decoder = new TextDecoder();
    let text = "";
    while (!text.includes("event: lost")) text += decoder.decode((await reader.read()).value);
    const kept = text.match(/event: denied/g)!.length;
    expect(kept).toBeGreaterThanOrEqual(1000);
    expect(kept).toBeLessThan(1100);
    expect(text).toContain(`event: lost\ndata: {"event":"lost","events":${5000 - kept}}\n\n`);
    show(event(5000));
    expect(decoder.decode((await reader.read()).value)).toContain("call 5000");
    await reader.cancel();
  });

  it("keeps no more than a mebibyte waiting", async () => {
    const { show, reader } = stream();
    const big = { ...event(1), rule: "x".repeat(100_000) } as TapEvent;
    for (let i = 0; i < 100; i++) show(big);
    let bytes = 0;
    for (let text = ""; !text.includes("event: lost"); ) {
      const { value } = await reader.read();
      bytes += value!.length;
      text = new TextDecoder().decode(value);
    }
    expect(bytes).toBeLessThan(1.3 * 1024 * 1024);
    await reader.cancel();
  });

  it("shows every 15 s that it is there, and ends when its reader may not look any more", async () => {
    const { clock, show, refuse, reader, seen } = stream();
    await reader.read();
    await clock.advance(15_000);
    expect(new TextDecoder().decode((await reader.read()).value)).toBe(": \n\n");
    refuse(new HubError({ code: "UNAUTHENTICATED", message: "The token was revoked." }));
    show(event(1));
    expect(new TextDecoder().decode((await reader.read()).value)).toMatch(
      /^event: refused\ndata: \{"code":"UNAUTHENTICATED"/,
    );
    expect((await reader.read()).done).toBe(true);
    expect(seen).toEqual({ untapped: 1, ended: 1, closed: 1 });
  });

  it("ends when its reader goes", async () => {
    const { reader, seen } = stream();
    await reader.cancel();
    expect(seen).toEqual({ untapped: 1, ended: 1, closed: 1 });
  });
});
