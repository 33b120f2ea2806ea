/** All wires, by name; each in a module of its own that only the processes that measure it load. */
import type { Wire } from "./wire.ts";

export const wires: ReadonlyMap<string, () => Promise<Wire>> = new Map([
  ["raw", async () => (await import("./raw.ts")).raw],
  ["lan", async () => (await import("./lan.ts")).lan],
  ["web-socket", async () => (await import("./web-socket.ts")).webSocket],
  ["secret-stream", async () => (await import("./secret-stream.ts")).secretStream],
  ["grpc", async () => (await import("./grpc.ts")).grpc],
  ["libp2p", async () => (await import("./libp2p.ts")).libp2p],
  ["relay", async () => (await import("./relay.ts")).relay],
  ["double-hop", async () => (await import("./double-hop.ts")).doubleHop],
  ["http2", async () => (await import("./http2.ts")).http2],
]);
