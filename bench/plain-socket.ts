/** A WebSocket without TLS and without compression. */
import { once } from "node:events";
import { WebSocket } from "ws";

/** It is open when this resolves. */
export async function openPlainSocket(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await once(socket, "open");
  return socket;
}
