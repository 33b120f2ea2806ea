/** `ws` to the other side by way of a forwarder, without TLS or any protocol: one message a call, answered in order. */
import { once } from "node:events";
import { WebSocket } from "ws";
import { askInOrder, type Wire } from "./wire.ts";

export const doubleHop: Wire = {
  async serve({ relay }) {
    const socket = await join(relay!.relayUrl);
    socket.on("message", (body: Buffer) => socket.send(body));
    return { address: relay!.relayUrl, close: async () => socket.terminate() };
  },

  async connect(_, address) {
    const socket = await join(address);
    const { ask, answered } = askInOrder((body) => socket.send(body));
    socket.on("message", (body: Buffer) => answered(body));
    return { echo: ask, close: async () => socket.terminate() };
  },
};

async function join(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, "open");
  return socket;
}
