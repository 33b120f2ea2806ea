/** What an endpoint keeps of each handshake and connection, and what both roles of a handshake share. docs/spec/relay.md §5. */
import { type Clock, concatBytes, encodeBase64Url, encodeUtf8, type FedError, type PeerIdentity } from "@fed/core";
import { routeKey } from "./frame.js";
import type { NoiseKeyPair, NoiseKeys } from "./noise.js";
import type { RelayConnection } from "./relay-connection.js";
import type { RelayLink } from "./relay-link.js";

/** How long a handshake may take, either side. */
export const handshakeTimeoutMs = 10_000;
/** How long after a drop a handshake message is sent again. */
export const retryDroppedMs = 200;

/** A handshake under way or a connection. */
export interface EndpointEntry {
  /** The other side's route, base64url. */
  readonly route: string;
  /** Only the responder's: it counts against other limits than what we dialled. */
  readonly answered: boolean;
  respond?(message: Uint8Array): void;
  connection?: RelayConnection;
  dropped(): void;
  lost(error: FedError): void;
}

/** A connection once its handshake is done. */
export interface NewConnection {
  readonly role: "initiator" | "responder";
  readonly route: Uint8Array;
  readonly index: number;
  readonly keys: NoiseKeys;
  readonly peerNoiseKey: Uint8Array;
  readonly peer: PeerIdentity | undefined;
  /** See `RelayConnectionOptions.confirmed`. */
  confirmed(refusal: FedError | undefined): void;
}

/** What both roles of a handshake are handed. */
export interface EndpointContext {
  readonly link: RelayLink;
  readonly tag: string;
  readonly noiseKey: NoiseKeyPair;
  readonly bootId: Uint8Array;
  readonly clock: Clock;
  readonly entries: Map<string, EndpointEntry>;
  connect(connection: NewConnection): RelayConnection;
}

/** Binds a handshake to this protocol, the cluster's tag and the two routes, so that a relay cannot redirect it. */
export function prologueOf(tag: string, initiatorRoute: Uint8Array, responderRoute: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8(`fed-relay/1 ${tag} `), initiatorRoute, responderRoute);
}

/** Names a connection: the other side's route and the index that its initiator drew. */
export function entryKeyOf(route: Uint8Array, index: number): string {
  return `${routeKey(route)}${index}`;
}

/** Where the other side is, for people. */
export function remoteAddressOf(url: string, route: Uint8Array): string {
  return `${url}#${encodeBase64Url(route).slice(0, 8)}`;
}
