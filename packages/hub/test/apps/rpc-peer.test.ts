/** What an app may ask at a time: so many questions, so many bytes, and ids that somebody can remember. */
import type { JSONRPCMessage, Transport } from "@modelcontextprotocol/client";
import { expect, it } from "vitest";
import { RpcPeer } from "../../src/apps/rpc-peer.js";

interface Sent {
  readonly id: number | string;
  readonly result?: unknown;
  readonly error?: { readonly code: number };
}

function peerOverPipe() {
  const sent: Sent[] = [];
  const transport: Transport = {
    start: async () => {},
    send: async (message) => void sent.push(message as Sent),
    close: async () => {},
  };
  const peer = new RpcPeer("app", transport);
  const asked: (number | string)[] = [];
  peer.handlers = { asked: (id) => void asked.push(id), told() {}, ended() {} };
  const say = (message: object) => transport.onmessage?.({ jsonrpc: "2.0", ...message } as JSONRPCMessage);
  const ask = (id: number | string, params: object = {}) => say({ id, method: "roots/list", params });
  return { peer, sent, asked, say, ask };
}

const mib = 1024 * 1024;

it("256 questions are open at a time; each that is answered, or not wanted any more, makes room for another", () => {
  const { peer, sent, asked, say, ask } = peerOverPipe();
  for (let i = 0; i < 300; i++) ask(i);
  expect(asked).toHaveLength(256);
  expect(sent.map(({ id }) => id)).toEqual(Array.from({ length: 44 }, (_, i) => 256 + i));
  peer.answer(0, {});
  say({ method: "notifications/cancelled", params: { requestId: 1 } });
  for (const id of ["a", "b", "c"]) ask(id);
  expect(asked.slice(256)).toEqual(["a", "b"]);
  peer.answer(1, {});
  expect(
    sent.filter(({ id }) => id === 1),
    "nobody waits for it",
  ).toEqual([]);
});

it("open questions have 16 MiB together", () => {
  const { peer, sent, asked, ask } = peerOverPipe();
  for (let i = 0; i < 40; i++) ask(i, { text: "x".repeat(mib) });
  expect(asked).toHaveLength(15);
  expect(sent).toHaveLength(25);
  expect(sent[0]).toMatchObject({ id: 15, error: { code: -32603 } });
  peer.refuse(3, { code: -1, message: "No." });
  ask("next", { text: "x".repeat(mib) });
  expect(asked.at(-1)).toBe("next");
});

it("a question whose id has more than 1024 characters, or is in use, is nobody's", () => {
  const { sent, asked, ask } = peerOverPipe();
  ask("x".repeat(1024));
  ask("y".repeat(1025));
  ask("x".repeat(1024));
  expect(asked).toHaveLength(1);
  expect(sent).toMatchObject([{ error: { code: -32603 } }]);
});
