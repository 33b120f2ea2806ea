import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ModernApp } from "../../src/apps/modern-app.js";
import { RpcPeer } from "../../src/apps/rpc-peer.js";

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout"] }));
afterEach(() => void vi.useRealTimers());

/** An app that acknowledges every subscription and then does with it what the test says. */
class Listened implements Transport {
  onclose?: () => void;
  onmessage?: (message: JSONRPCMessage) => void;
  readonly ids: number[] = [];
  readonly #acknowledged: object;

  constructor(acknowledged: object) {
    this.#acknowledged = acknowledged;
  }

  async start(): Promise<void> {}

  async send(message: JSONRPCMessage): Promise<void> {
    const { id, method } = message as { id: number; method: string };
    if (method !== "subscriptions/listen") return;
    this.ids.push(id);
    this.say("notifications/subscriptions/acknowledged", { notifications: this.#acknowledged });
  }

  async close(): Promise<void> {
    this.onclose?.();
  }

  say(method: string, params: object): void {
    const _meta = { "io.modelcontextprotocol/subscriptionId": this.ids.at(-1) };
    this.onmessage?.({ jsonrpc: "2.0", method, params: { ...params, _meta } });
  }

  end(): void {
    this.onmessage?.({ jsonrpc: "2.0", id: this.ids.at(-1)!, result: { resultType: "complete" } });
  }
}

async function appThat(acknowledges: object) {
  const transport = new Listened(acknowledges);
  const peer = new RpcPeer("app", transport);
  const app = new ModernApp(peer, { capabilities: { tools: { listChanged: true } } });
  peer.handlers = app;
  const heard: string[] = [];
  app.watch((method) => heard.push(method));
  await vi.waitFor(() => expect(transport.ids).toHaveLength(1));
  return { app, transport, heard };
}

it("a subscription that the app lets go of is taken up again, and its lists count as changed", async () => {
  const { app, transport, heard } = await appThat({ toolsListChanged: true });
  transport.say("notifications/tools/list_changed", {});
  expect(heard).toEqual(["notifications/tools/list_changed"]);
  transport.end();
  await vi.advanceTimersByTimeAsync(2_000);
  expect(transport.ids).toHaveLength(2);
  expect(heard.slice(1)).toEqual([
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
  ]);
  await app.close();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(transport.ids).toHaveLength(2);
});

it("an app that can tell nothing is asked once", async () => {
  const { app, transport, heard } = await appThat({});
  transport.end();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(transport.ids).toHaveLength(1);
  expect(heard).toEqual([]);
  await app.close();
});

it("what is about an operator's task is for nobody else, neither who calls meanwhile nor who follows it", async () => {
  const { app, transport } = await appThat({});
  const sent: { readonly id: number; readonly method: string }[] = [];
  transport.send = async (message) => void sent.push(message as never);
  const request = (principal: string, method: string) => {
    const heard: unknown[] = [];
    const options = { principal, signal: new AbortController().signal, notify: (said: unknown) => heard.push(said) };
    return { heard, result: app.request(method, {}, options), id: sent.at(-1)!.id };
  };
  const say = (params: object) =>
    transport.onmessage?.({ jsonrpc: "2.0", method: "notifications/tasks", params } as JSONRPCMessage);
  const begun = request("ann", "tools/call");
  transport.onmessage?.({ jsonrpc: "2.0", id: begun.id, result: { resultType: "task", taskId: "1" } });
  await begun.result;

  const ann = request("ann", "subscriptions/listen");
  const bob = request("bob", "subscriptions/listen");
  const call = request("bob", "tools/call");
  say({ taskId: "1", status: "completed" });
  for (const { id } of [ann, bob]) {
    say({ taskId: "1", _meta: { "io.modelcontextprotocol/subscriptionId": id } });
    say({ taskId: "nobody's", _meta: { "io.modelcontextprotocol/subscriptionId": id } });
  }
  expect(call.heard).toEqual([]);
  expect(ann.heard).toMatchObject([{ params: { taskId: "1" } }, { params: { taskId: "nobody's" } }]);
  expect(bob.heard).toMatchObject([{ params: { taskId: "nobody's" } }]);
});
