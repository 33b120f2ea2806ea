/** The part of the standard WebSocket that this room uses; the platform's own and the package `ws` both have it. */

/** A client WebSocket. */
export interface WebSocketLike {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

/** Opens a WebSocket. May throw for an impossible URL. */
export type WebSocketConnect = (url: string, protocols: string[]) => WebSocketLike;

/** `readyState` of an open WebSocket. */
export const webSocketOpen = 1;

/** The subprotocol of this version. */
export const relaySubprotocol = "fed-relay.1";

/** Uses the platform's WebSocket. */
export const connectWebSocket: WebSocketConnect = (url, protocols) =>
  new WebSocket(url, protocols) as unknown as WebSocketLike;
