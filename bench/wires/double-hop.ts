/** `ws` to the other side by way of a forwarder, without TLS or any protocol: one message a call, answered in order. */
import { openPlainSocket } from "../plain-socket.ts";
import { askInOrder, type Wire } from "./wire.ts";

export const doubleHop: Wire = {
  async serve({ relay }) {
    const socket = await openPlainSocket(relay!.relayUrl);
    socket.on("message", (body: Buffer) => socket.send(body));
    return { address: relay!.relayUrl, close: async () => socket.terminate() };
  },

  async connect(_, address) {
    const socket = await openPlainSocket(address);
    const { ask, answered } = askInOrder((body) => socket.send(body));
    socket.on("message", (body: Buffer) => answered(body));
    return { echo: ask, close: async () => socket.terminate() };
  },
};
