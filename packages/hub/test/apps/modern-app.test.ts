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
