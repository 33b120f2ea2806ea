/**
 * Everything end to end over one relay link: handshakes and the connections they end in. docs/spec/relay.md §5.
 *
 * A connection is named by the other side's route and an index that its initiator draws at random.
 */
import { type Clock, encodeBase64Url, type FedError } from "@fed/core";
import { type EndpointContext, type EndpointEntry, entryKeyOf, remoteAddressOf } from "./endpoint-entry.js";
import { tooManyHandshakes, unknownError, unreachable } from "./endpoint-error.js";
import { type EndpointDial, initiate } from "./handshake-initiator.js";
import { createHandshakeResponder, type Responder } from "./handshake-responder.js";
import type { RekeyLimits } from "./key-renewal.js";
import type { NoiseKeyPair } from "./noise.js";
import { innerHeaderBytes, innerKind } from "./record.js";
import { RelayConnection } from "./relay-connection.js";
import type { RelayLink } from "./relay-link.js";

const maxEntries = 2_048;

/** Options of {@link createRelayEndpoint}. */
export interface RelayEndpointOptions {
  readonly link: RelayLink;
  readonly tag: string;
  readonly noiseKey: NoiseKeyPair;
  readonly bootId: Uint8Array;
  readonly clock: Clock;
  readonly rekey: RekeyLimits;
  /** Undefined while nobody listens. */
  responder(): Responder | undefined;
  /** A connection ended; `error` is undefined for a clean end. */
  ended?(error: FedError | undefined): void;
  /** The last connection ended. */
  idle?(): void;
}

/** The handshakes and connections of one link. */
export interface RelayEndpoint {
  dial(dial: EndpointDial): Promise<RelayConnection>;
  received(route: Uint8Array, payload: Uint8Array): void;
  noRoute(route: Uint8Array): void;
  dropped(route: Uint8Array): void;
  /** Whether nothing is under way. */
  readonly idle: boolean;
  /** Ends everything, because the link did. */
  lost(error: FedError): void;
  /** Ends everything and tells the other sides why; the link is still up. */
  close(error: FedError): void;
}

/** An endpoint on `link`. */
export function createRelayEndpoint(options: RelayEndpointOptions): RelayEndpoint {
  const { link, clock, tag, noiseKey, bootId, rekey } = options;
  const entries = new Map<string, EndpointEntry>();
  const context: EndpointContext = {
    link,
    tag,
    noiseKey,
    bootId,
    clock,
    entries,
    connect({ route, index, ...connection }) {
      return new RelayConnection({
        ...connection,
        index,
        own: noiseKey,
        remoteAddress: remoteAddressOf(link.url, route),
        clock,
        rekey,
        transmit: (record) => link.send(route, record),
        finished(error) {
          entries.delete(entryKeyOf(route, index));
          options.ended?.(error);
          if (entries.size === 0) options.idle?.();
        },
      });
    },
  };
  const answering = createHandshakeResponder(context);

  function entriesOf(route: Uint8Array): EndpointEntry[] {
    const name = encodeBase64Url(route);
    return [...entries.values()].filter((entry) => entry.route === name);
  }

  return {
    get idle() {
      return entries.size === 0;
    },
    dial(dial) {
      if (entries.size >= maxEntries) return Promise.reject(tooManyHandshakes());
      return initiate(context, dial);
    },
    received(route, payload) {
      if (payload.length < innerHeaderBytes) return;
      const index = new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(1);
      const entry = entries.get(entryKeyOf(route, index));
      const body = payload.subarray(innerHeaderBytes);
      switch (payload[0]) {
        case innerKind.initiate:
          // The frame is a view into a whole message; what is kept must not keep that.
          return answering.answer(route.slice(), index, body, options.responder());
        case innerKind.respond:
          return entry?.respond?.(body);
        case innerKind.record:
          if (entry?.connection !== undefined) return entry.connection.receive(payload);
          return answering.unknown(route, index);
        case innerKind.unknown:
          return entry?.lost(unknownError(body[0], entry.connection !== undefined));
      }
    },
    noRoute(route) {
      for (const entry of entriesOf(route)) entry.lost(unreachable("The other hub is not connected to this relay."));
    },
    dropped(route) {
      for (const entry of entriesOf(route)) entry.dropped();
    },
    lost(error) {
      for (const entry of [...entries.values()]) entry.lost(error);
    },
    close(error) {
      for (const { connection } of [...entries.values()]) connection?.close(error);
    },
  };
}
