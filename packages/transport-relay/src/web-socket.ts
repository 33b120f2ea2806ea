/** The part of the standard WebSocket that this room uses; the platform's own and the package `ws` both have it. */

import { decodeUtf8, encodeUtf8 } from "@fed/core";
import { type CapabilityClaims, type TokenCheck, verifyCapabilityToken } from "./capability-token.js";

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

const tokenPrefix = "fed-token.";

/** The subprotocols a hub offers: its token is among them, so that a relay can refuse or route before it accepts. */
export function offeredSubprotocols(token: Uint8Array): string[] {
  return [relaySubprotocol, tokenPrefix + decodeUtf8(token)];
}

/**
 * The claims of the token that an upgrade request offers, verified; `offered` are its subprotocols. Nothing is kept.
 * @throws {RelayError} TOKEN_INVALID when there is none; TOKEN_* as {@link verifyCapabilityToken}.
 */
export function verifyUpgrade(offered: Iterable<string>, check: TokenCheck): CapabilityClaims {
  const token = [...offered].find((one) => one.startsWith(tokenPrefix)) ?? "";
  return verifyCapabilityToken(encodeUtf8(token.slice(tokenPrefix.length)), check);
}

/** Uses the platform's WebSocket. */
export const connectWebSocket: WebSocketConnect = (url, protocols) =>
  new WebSocket(url, protocols) as unknown as WebSocketLike;
