/** Two places at a forwarder, one that sends and one that receives, with a fixed number of messages under way. */
import { decodeBase64Url } from "@fed/core";
import { decodeFrame, deriveRelayKeys, encodeFrame, routeOf, type WebSocketConnect } from "@fed/transport-relay";
import { WebSocket } from "ws";
import { serveParent } from "./child.ts";
import type { Sample } from "./load.ts";
import { openPlainSocket } from "./plain-socket.ts";
import { joinRelay } from "./wires/relay.ts";
import type { WireSetUp } from "./wires/wire.ts";

/** What the client is made from: the places of two hubs at a relay, or a bare forwarder. */
export interface ForwardSetUp {
  readonly url: string;
  readonly payloadBytes: number;
  /** Absent: no protocol. */
  readonly hubs?: readonly [WireSetUp, WireSetUp];
}

/** A stretch of messages. */
export interface ForwardWork {
  readonly underWay: number;
  readonly durationMs: number;
}

/** Both ends of what is forwarded. */
interface Line {
  send(): void;
  /** Called with what arrived. */
  received: (payload: Uint8Array) => void;
  /** Called when the relay has dropped one for want of room. */
  refused: () => void;
  close(): void;
}

const ackEveryBytes = 65_536;
/** A busy Durable Object may look at the receiver's acknowledgements late. What it drops meanwhile is sent again, as hubs do. */
const againMs = 50;

serveParent<ForwardSetUp, object, ForwardWork, Sample>(async (setUp) => {
  const payload = new Uint8Array(setUp.payloadBytes).map((_, i) => i);
  const line = await (setUp.hubs ? openRelayed(setUp.hubs, payload) : openBare(setUp.url, payload));
  return {
    ready: {},
    close: async () => line.close(),
    work: ({ underWay, durationMs }) => forward(line, payload, underWay, durationMs),
  };
});

/** Each message that arrives is followed by another one, until the time is over and all have arrived. */
function forward(line: Line, payload: Uint8Array, underWay: number, durationMs: number): Promise<Sample> {
  const { promise, resolve, reject } = Promise.withResolvers<Sample>();
  const latenciesMs: number[] = [];
  const sentAtMs = new Float64Array(underWay);
  const startMs = performance.now();
  let sent = 0;
  const send = () => {
    sentAtMs[sent++ % underWay] = performance.now();
    line.send();
  };
  line.received = (arrived) => {
    const nowMs = performance.now();
    if (Buffer.compare(arrived, payload) !== 0) return reject(new Error("A message differs from what was sent."));
    latenciesMs.push(nowMs - sentAtMs[latenciesMs.length % underWay]!);
    if (nowMs - startMs < durationMs) send();
    else if (latenciesMs.length === sent) resolve({ latenciesMs, elapsedMs: nowMs - startMs });
  };
  line.refused = () => setTimeout(line.send, againMs);
  for (let i = 0; i < underWay; i++) send();
  return promise;
}

async function openBare(url: string, payload: Uint8Array): Promise<Line> {
  const [from, to] = [await openPlainSocket(url), await openPlainSocket(url)];
  const line: Line = {
    send: () => from.send(payload),
    received: () => {},
    refused: () => {},
    close: () => {
      from.terminate();
      to.terminate();
    },
  };
  to.on("message", (bytes: Buffer) => line.received(bytes));
  return line;
}

/** The transports of hubs are let in; then their sockets are taken over, so that only the relay's work is left. */
async function openRelayed(hubs: readonly [WireSetUp, WireSetUp], payload: Uint8Array): Promise<Line> {
  const [from, to] = [await takeSocket(hubs[0]), await takeSocket(hubs[1])];
  const { routeKey } = deriveRelayKeys(decodeBase64Url(hubs[0].relay!.clusterKey));
  const route = routeOf(routeKey, hubs[1].credentials.hubId, Date.now());
  const frame = encodeFrame({ type: "send", route, payload });
  let [processedBytes, toldBytes] = [0, 0];
  const line: Line = {
    send: () => from.send(frame),
    received: () => {},
    refused: () => {},
    close: () => {
      from.terminate();
      to.terminate();
    },
  };
  from.on("message", (bytes: Buffer, isBinary: boolean) => {
    if (isBinary && decodeFrame(bytes).type === "reset") line.refused();
  });
  to.on("message", (bytes: Buffer, isBinary: boolean) => {
    const arrived = isBinary ? decodeFrame(bytes) : undefined;
    if (arrived?.type !== "recv") return;
    processedBytes += arrived.payload.length;
    if (processedBytes - toldBytes >= ackEveryBytes) {
      toldBytes = processedBytes;
      to.send(encodeFrame({ type: "ack", processedBytes }));
    }
    line.received(arrived.payload);
  });
  return line;
}

async function takeSocket(hub: WireSetUp): Promise<WebSocket> {
  let taken: WebSocket | undefined;
  await joinRelay(hub, (url, protocols) => {
    taken = new WebSocket(url, protocols, { perMessageDeflate: false });
    return taken as ReturnType<WebSocketConnect>;
  });
  const socket = taken!;
  const listeners = socket.listeners("message");
  socket.removeAllListeners("message");
  // Keepalives, which are text, stay the transport's.
  socket.on("message", (bytes, isBinary) => {
    if (!isBinary) for (const listener of listeners) listener.call(socket, bytes, isBinary);
  });
  socket.binaryType = "nodebuffer";
  return socket;
}
