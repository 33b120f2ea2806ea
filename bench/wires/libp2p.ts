/** js-libp2p, TCP with Noise and yamux: length-prefixed messages on one long stream, answered in order. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cutFrames, prefixed } from "../frames.ts";
import { askInOrder, type Wire } from "./wire.ts";

/** What arrives: one piece, or a list of them. */
interface Received {
  readonly data: Uint8Array | { subarray(): Uint8Array };
}

/** The parts of the packages that are used here. */
interface Libp2pStream {
  send(bytes: Uint8Array): boolean;
  addEventListener(type: "message", listener: (event: Received) => void): void;
}
interface Libp2p {
  getMultiaddrs(): { toString(): string }[];
  handle(protocol: string, handler: (stream: Libp2pStream) => void, options: object): Promise<void>;
  dialProtocol(address: object, protocol: string): Promise<Libp2pStream>;
  stop(): Promise<void>;
}

const protocol = "/bench-echo/1";

export const libp2p: Wire = {
  async serve({ modules }) {
    const node = await createNode(modules, ["/ip4/127.0.0.1/tcp/0"]);
    await node.handle(
      protocol,
      (stream) => {
        const send = exchange(stream, (body) => send(body));
      },
      { maxInboundStreams: 8 },
    );
    return { address: `${node.getMultiaddrs()[0]}`, close: () => node.stop() };
  },

  async connect({ modules }, address) {
    const node = await createNode(modules, []);
    const { multiaddr } = await importFrom<{ multiaddr(text: string): object }>(modules, "@multiformats/multiaddr");
    const stream = await node.dialProtocol(multiaddr(address), protocol);
    const { ask, answered } = askInOrder((body) => send(body));
    const send = exchange(stream, answered);
    return { echo: ask, close: () => node.stop() };
  },
};

async function createNode(modules: string, listen: string[]): Promise<Libp2p> {
  const { createLibp2p } = await importFrom<{ createLibp2p(options: object): Promise<Libp2p> }>(modules, "libp2p");
  const { tcp } = await importFrom<{ tcp(): object }>(modules, "@libp2p/tcp");
  const { noise } = await importFrom<{ noise(): object }>(modules, "@libp2p/noise");
  const { yamux } = await importFrom<{ yamux(): object }>(modules, "@libp2p/yamux");
  return createLibp2p({
    addresses: { listen },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  });
}

/** Cuts what arrives into messages; returns what sends one. */
function exchange(stream: Libp2pStream, received: (body: Uint8Array) => void): (body: Uint8Array) => void {
  const cut = cutFrames(received);
  stream.addEventListener("message", ({ data }) => {
    const bytes = data.subarray();
    cut(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  });
  return (body) => void stream.send(prefixed(body));
}

async function importFrom<Module>(modules: string, name: string): Promise<Module> {
  const path = createRequire(join(modules, "x.js")).resolve(name);
  return (await import(pathToFileURL(path).href)) as Module;
}
