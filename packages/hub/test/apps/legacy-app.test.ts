/** What an app of the older era says over one pipe: whom it reaches, and that nothing it says can end the hub. */
import { FedError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import type { Notification } from "@fed/router";
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { describe, expect, it } from "vitest";
import { heldMs } from "../../src/apps/held-call.js";
import { LegacyApp } from "../../src/apps/legacy-app.js";
import { RpcPeer } from "../../src/apps/rpc-peer.js";
import { stampFacts } from "../../src/mcp/meta.js";

interface Sent {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: { readonly name?: string };
  readonly error?: { readonly code: number };
  readonly result?: unknown;
}

/** A pipe whose other end is the test. */
class Pipe implements Transport {
  onclose?: () => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly sent: Sent[] = [];

  async start(): Promise<void> {}
  async send(message: JSONRPCMessage): Promise<void> {
    this.sent.push(message as Sent);
  }
  async close(): Promise<void> {
    this.onclose?.();
  }

  say(message: object): void {
    this.onmessage?.({ jsonrpc: "2.0", ...message } as JSONRPCMessage);
  }

  /** Answers the call of the tool `name`. */
  finish(name: string): void {
    const { id } = this.sent.find(({ params }) => params?.name === name)!;
    this.say({ id, result: { content: [] } });
  }
}

function appOverPipe() {
  const pipe = new Pipe();
  const peer = new RpcPeer("app", pipe);
  const capabilities = { logging: {}, resources: { subscribe: true } };
  const clock = createTestClock();
  const app = new LegacyApp(peer, { protocolVersion: "2025-11-25", capabilities }, clock);
  peer.handlers = app;
  const call = (
    principal: string,
    facts: { readonly capabilities?: Record<string, unknown>; logLevel?: string },
    more: Record<string, unknown> = {},
  ) => {
    const stop = new AbortController();
    const heard: Notification[] = [];
    const stated = { capabilities: {}, clientInfo: undefined, logLevel: undefined, progress: false, ...facts };
    const result = app.request("tools/call", stampFacts({ name: principal, ...more }, stated), {
      principal,
      signal: stop.signal,
      notify: (notification) => heard.push(notification),
    });
    return { heard, result, stop: () => stop.abort(new FedError({ code: "ABORTED", message: "Enough." })) };
  };
  const reached = (name: string) => expect.poll(() => pipe.sent.some(({ params }) => params?.name === name)).toBe(true);
  return { app, pipe, clock, call, reached };
}

const question = { method: "elicitation/create", params: { message: "bob's own words", requestedSchema: {} } };

it("a question is nobody's where several operators' calls are under way, even if one of them alone could answer", async () => {
  const { pipe, call, reached } = appOverPipe();
  const ann = call("ann", { capabilities: { elicitation: {} } });
  const bob = call("bob", {});
  await Promise.all([reached("ann"), reached("bob")]);
  pipe.say({ id: "q", ...question });
  expect(pipe.sent.at(-1)).toMatchObject({ id: "q", error: { code: -32601 } });
  pipe.finish("ann");
  pipe.finish("bob");
  expect(await ann.result).toEqual({ resultType: "complete", content: [] });
  expect(await bob.result).toEqual({ resultType: "complete", content: [] });
});

it("a log message is nobody's where several operators' calls are under way, even if one of them alone wants it", async () => {
  const { pipe, call, reached } = appOverPipe();
  const ann = call("ann", { logLevel: "debug" });
  await expect.poll(() => pipe.sent.at(-1)?.method).toBe("logging/setLevel");
  pipe.say({ id: pipe.sent.at(-1)!.id, result: {} });
  await reached("ann");
  const message = { method: "notifications/message", params: { level: "info", data: "whose?" } };
  pipe.say(message);
  expect(ann.heard).toEqual([message]);
  const bob = call("bob", {});
  await reached("bob");
  pipe.say(message);
  expect(ann.heard).toHaveLength(1);
  expect(bob.heard).toEqual([]);
  pipe.finish("bob");
  await bob.result;
  pipe.say(message);
  expect(ann.heard).toHaveLength(2);
});

it("what it says in another shape than it should is lost, and ends nothing", async () => {
  const { app, pipe, call, reached } = appOverPipe();
  const ann = call("ann", { logLevel: "info", capabilities: { elicitation: {} } });
  pipe.say({ id: pipe.sent.at(-1)!.id, result: {} });
  await reached("ann");
  const stop = new AbortController();
  const following = app.request(
    "subscriptions/listen",
    { notifications: { resourceSubscriptions: ["a:b"] } },
    {
      principal: "ann",
      signal: stop.signal,
      notify() {},
    },
  );
  const noText = { toString: null, valueOf: null };
  pipe.say({ method: "notifications/resources/updated", params: { uri: noText } });
  pipe.say({ method: "notifications/message", params: { level: noText } });
  pipe.say({ method: "notifications/tasks/status", params: { taskId: noText } });
  pipe.say({ id: "q", ...question, params: { ...question.params, taskId: noText } });
  expect(ann.heard).toEqual([]);
  stop.abort(new Error("enough"));
  await expect(following).rejects.toThrow("enough");
  pipe.finish("ann");
  expect(await ann.result).toMatchObject({ content: [] });
});

describe("a question that gets no answer", () => {
  const everything = { capabilities: { elicitation: {}, sampling: {}, roots: {} } };
  const questions = [
    { id: "form", ...question },
    { id: "model", method: "sampling/createMessage", params: { messages: [] } },
    { id: "folders", method: "roots/list", params: {} },
  ];

  /** A call that waits for answers to all three, with what the agent was given. */
  async function asking() {
    const made = appOverPipe();
    const { pipe, call, reached } = made;
    const ann = call("ann", everything);
    await reached("ann");
    for (const each of questions) pipe.say(each);
    return { ...made, ann, asked: (await ann.result) as { inputRequests: object; requestState: string } };
  }
  const saidOf = (pipe: Pipe, id: string) => pipe.sent.find((message) => message.id === id);
  const roots = { roots: [] };

  it("is asked once more, and then refused: the app goes on with what it has", async () => {
    const { pipe, call, asked } = await asking();
    const [form, model, folders] = Object.keys(asked.inputRequests);
    const { requestState } = asked;
    const again = await call("ann", everything, { requestState, inputResponses: { [folders!]: roots } }).result;
    expect(again).toMatchObject({ resultType: "input_required", requestState });
    expect(Object.keys((again as typeof asked).inputRequests)).toEqual([form, model]);
    expect(saidOf(pipe, "folders")?.result).toEqual(roots);
    expect(saidOf(pipe, "form")).toBeUndefined();
    const last = call("ann", everything, { requestState, inputResponses: {} });
    await expect.poll(() => saidOf(pipe, "model")?.error).toMatchObject({ code: -1 });
    expect(saidOf(pipe, "form")?.result).toEqual({ action: "cancel" });
    pipe.finish("ann");
    expect(await last.result).toMatchObject({ resultType: "complete" });
  });

  it("does not count as passed over before the agent was shown it", async () => {
    const { pipe, call, asked } = await asking();
    const { requestState } = asked;
    pipe.say({ id: "late", ...question });
    const ids = (result: unknown) => Object.keys((result as typeof asked).inputRequests);
    const second = await call("ann", everything, { requestState, inputResponses: {} }).result;
    expect(ids(second)).toEqual([...ids(asked), "input-4"]);
    const third = await call("ann", everything, { requestState, inputResponses: {} }).result;
    expect(ids(third)).toEqual(["input-4"]);
    expect(saidOf(pipe, "late")).toBeUndefined();
  });

  it("is refused when its agent's operator is cut off", async () => {
    const { app, pipe, asked, call } = await asking();
    const { requestState } = asked;
    const error = new FedError({ code: "OPERATOR_REVOKED", message: "This operator was revoked." });
    app.endWaiting((principal) => principal === "bob", error);
    expect(saidOf(pipe, "model")).toBeUndefined();
    app.endWaiting((principal) => principal === "ann", error);
    for (const { id } of questions) await expect.poll(() => saidOf(pipe, id)?.error).toMatchObject({ code: -1 });
    expect(pipe.sent.some(({ method }) => method === "notifications/cancelled")).toBe(true);
    await expectCode(call("ann", everything, { requestState, inputResponses: {} }).result, "INPUT_STATE_INVALID");
  });

  it("is refused as soon as the call is over: answered, cancelled, or not gone on with", async () => {
    const answered = await asking();
    answered.pipe.finish("ann");
    await expect.poll(() => saidOf(answered.pipe, "model")?.error).toMatchObject({ code: -1 });

    const cancelled = await asking();
    const { requestState } = cancelled.asked;
    const again = cancelled.call("ann", everything, { requestState, inputResponses: {} });
    await again.result;
    const last = cancelled.call("ann", everything, { requestState, inputResponses: { "input-3": roots } });
    last.stop();
    await expectCode(last.result, "ABORTED");
    for (const { id } of questions) await expect.poll(() => saidOf(cancelled.pipe, id)).toBeDefined();

    const silent = await asking();
    expect(saidOf(silent.pipe, "model")).toBeUndefined();
    await silent.clock.advance(heldMs);
    for (const { id } of questions) await expect.poll(() => saidOf(silent.pipe, id)?.error).toMatchObject({ code: -1 });
    expect(silent.pipe.sent.some(({ method }) => method === "notifications/cancelled")).toBe(true);
  });
});
