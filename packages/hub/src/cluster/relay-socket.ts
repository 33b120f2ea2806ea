/** WebSockets to relays from the package `ws`, because it takes a payload limit and leaves compression off. */
import type { WebSocketConnect, WebSocketLike } from "@fed/transport-relay";
import { WebSocket } from "ws";

const maxPayloadBytes = 1024 * 1024;

/** Opens one connection to a relay. */
export const connectRelay: WebSocketConnect = (url, protocols) =>
  new WebSocket(url, protocols, {
    perMessageDeflate: false,
    maxPayload: maxPayloadBytes,
    handshakeTimeout: 10_000,
  }) as unknown as WebSocketLike;
