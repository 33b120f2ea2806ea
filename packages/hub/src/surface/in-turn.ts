/**
 * Requests that a client sends on one connection without waiting for answers, answered one after the other: so a connection
 * counts for one among others, and the end of it is heard by the request whose turn it is.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** A connection with more waiting is closed: no client works like that, and each one takes memory. */
const maxWaiting = 1024;

/** Something that answers requests. */
export type Serve = (request: IncomingMessage, response: ServerResponse) => void;

/** `serve`, for each connection one request at a time. */
export function inTurn(serve: Serve): Serve {
  const waiting = new WeakMap<Socket, number>();
  return (request, response) => {
    // Node gives the connection to one response at a time.
    if (response.socket) return serve(request, response);
    const { socket } = request;
    const count = (waiting.get(socket) ?? 0) + 1;
    if (count > maxWaiting) {
      socket.destroy();
      return;
    }
    waiting.set(socket, count);
    response.once("socket", () => {
      waiting.set(socket, waiting.get(socket)! - 1);
      // The turn of the loop in which the answer before was sent belongs to it; others come first.
      setImmediate(() => {
        if (!response.destroyed && !socket.destroyed) serve(request, response);
      });
    });
  };
}
