/**
 * Everything end to end over one relay link: handshakes and the connections they end in. docs/spec/relay.md §5.
 *
 * A connection is named by the other side's route and an index that its initiator draws at random.
 */
import {
  abortedError,
  type Clock,
  CoreError,
  concatBytes,
  encodeBase64Url,
  encodeUtf8,
  type FedError,
  type HubId,
  type PeerIdentity,
  randomBytes,
  type Timer,
  toFedError,
} from "@fed/core";
import { refusedBy, tooManyHandshakes, unknownError, unknownReason, unreachable } from "./endpoint-error.js";
import { RelayError } from "./errors.js";
import {
  decodeInitiatorHello,
  decodeResponderAnswer,
  encodeErrorCode,
  encodeInitiatorHello,
  encodeResponderAnswer,
  type InitiatorHello,
  maxHandshakePayloadBytes,
} from "./handshake-payload.js";
import { createHandshakeRates } from "./handshake-rates.js";
import type { RekeyLimits } from "./key-renewal.js";
import { type NoiseKeyPair, type NoiseKeys, noiseIk, noiseMessage1Overhead } from "./noise.js";
import { encodeInner, innerHeaderBytes, innerKind } from "./record.js";
import { RelayConnection } from "./relay-connection.js";
import type { RelayLink } from "./relay-link.js";

const handshakeTimeoutMs = 10_000;
const retryDroppedMs = 200;
const maxHalfOpen = 64;
const maxConnections = 1_024;

/** What the responder needs to judge and answer an initiator. */
export interface Responder {
  /** The identity of a member, or undefined for a guest. @throws {FedError} to refuse. */
  admit(initiatorKey: Uint8Array, hello: InitiatorHello): PeerIdentity | undefined;
  /** DER, leaf first. */
  chain(): readonly Uint8Array[];
  connected(connection: RelayConnection, hello: InitiatorHello): void;
  refused(remoteAddress: string, error: FedError): void;
}

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
  /** The last connection ended. */
  idle?(): void;
}

/** What one dial needs. */
export interface EndpointDial {
  readonly route: Uint8Array;
  readonly responderKey: Uint8Array;
  readonly hello: Omit<InitiatorHello, "bootId">;
  readonly signal?: AbortSignal;
  /** Judges the responder's chain. @throws {FedError} to refuse. */
  authenticate(chain: readonly Uint8Array[]): PeerIdentity | undefined;
  readonly expect?: HubId;
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

interface Entry {
  readonly route: string;
  respond?(message: Uint8Array): void;
  connection?: RelayConnection;
  dropped(): void;
  lost(error: FedError): void;
}

/** An endpoint on `link`. */
export function createRelayEndpoint(options: RelayEndpointOptions): RelayEndpoint {
  const { link, clock, tag, noiseKey, bootId, rekey } = options;
  const entries = new Map<string, Entry>();
  const rates = createHandshakeRates(clock);
  let halfOpen = 0;

  function connect(
    role: "initiator" | "responder",
    route: Uint8Array,
    index: number,
    keys: NoiseKeys,
    peerNoiseKey: Uint8Array,
    peer: PeerIdentity | undefined,
    confirmed: (refusal: FedError | undefined) => void,
  ): RelayConnection {
    const key = keyOf(route, index);
    return new RelayConnection({
      role,
      index,
      keys,
      own: noiseKey,
      peerNoiseKey,
      peer,
      remoteAddress: addressOf(link.url, route),
      clock,
      rekey,
      transmit: (record) => link.send(route, record),
      confirmed,
      finished() {
        entries.delete(key);
        if (entries.size === 0) options.idle?.();
      },
    });
  }

  function dial(dial: EndpointDial): Promise<RelayConnection> {
    const { route, signal } = dial;
    if (signal?.aborted) return Promise.reject(abortedError(signal));
    const ownRoute = link.route;
    if (ownRoute === undefined) return Promise.reject(unreachable("The relay is not connected."));
    if (entries.size >= maxConnections) return Promise.reject(tooManyHandshakes());
    const index = freeIndex(route);
    const key = keyOf(route, index);
    return new Promise((resolve, reject) => {
      const prologue = prologueOf(tag, ownRoute, route);
      const initiator = noiseIk.createInitiator({ keyPair: noiseKey, responderKey: dial.responderKey, prologue });
      const message1 = initiator.writeMessage1(encodeInitiatorHello({ ...dial.hello, bootId }));
      const first = encodeInner(innerKind.initiate, index, message1);
      let retry: Timer | undefined;
      let connection: RelayConnection | undefined;
      const timeout = clock.setTimer(handshakeTimeoutMs, () => {
        fail(new RelayError({ code: "HANDSHAKE_TIMEOUT", message: "The other hub did not answer.", retryable: true }));
      });
      const onAbort = () => fail(abortedError(signal!));
      signal?.addEventListener("abort", onAbort, { once: true });

      function settle(): void {
        timeout.cancel();
        retry?.cancel();
        signal?.removeEventListener("abort", onAbort);
      }
      function fail(error: FedError): void {
        settle();
        if (connection === undefined) entries.delete(key);
        else connection.close(error);
        reject(error);
      }
      function respond(message: Uint8Array): void {
        if (connection !== undefined) return;
        try {
          const { payload, keys } = initiator.readMessage2(message);
          const answer = decodeResponderAnswer(payload);
          if (!answer.accepted) throw refusedBy(answer.code);
          const judged = judge(dial, answer.chain);
          connection = connect("initiator", route, index, keys, dial.responderKey, judged.peer, (refusal) => {
            settle();
            if (refusal === undefined) resolve(connection!);
            else reject(refusal);
          });
          entry.connection = connection;
          if (judged.error !== undefined) {
            fail(judged.error);
            return;
          }
          connection.confirm();
        } catch (error) {
          fail(toFedError(error));
        }
      }
      const entry: Entry = {
        route: encodeBase64Url(route),
        respond,
        dropped() {
          if (connection !== undefined) return connection.dropped();
          retry ??= clock.setTimer(retryDroppedMs, () => {
            retry = undefined;
            link.send(route, first);
          });
        },
        lost(error) {
          if (connection !== undefined) connection.lost(error);
          else fail(error);
        },
      };
      entries.set(key, entry);
      link.send(route, first);
    });
  }

  function answer(from: Uint8Array, index: number, message: Uint8Array): void {
    // The frame is a view into a whole message; what is kept must not keep that.
    const route = from.slice();
    const key = keyOf(route, index);
    if (entries.has(key)) return;
    const remoteAddress = addressOf(link.url, route);
    const responder = options.responder();
    if (responder === undefined) {
      unknown(route, index, unknownReason.notListening);
      return;
    }
    if (halfOpen >= maxHalfOpen || entries.size >= maxConnections || !rates.allows(route)) {
      responder.refused(remoteAddress, tooManyHandshakes());
      unknown(route, index, unknownReason.busy);
      return;
    }
    if (message.length > maxHandshakePayloadBytes + noiseMessage1Overhead) {
      responder.refused(
        remoteAddress,
        new RelayError({ code: "HANDSHAKE_MALFORMED", message: "A handshake message is too large." }),
      );
      unknown(route, index, unknownReason.unreadable);
      return;
    }
    const prologue = prologueOf(tag, route, link.route!);
    const noise = noiseIk.createResponder({ keyPair: noiseKey, prologue });
    let initiatorKey: Uint8Array;
    let payload: Uint8Array;
    try {
      ({ initiatorKey, payload } = noise.readMessage1(message));
    } catch (error) {
      responder.refused(remoteAddress, toFedError(error));
      unknown(route, index, unknownReason.unreadable);
      return;
    }
    try {
      const hello = decodeInitiatorHello(payload);
      const peer = responder.admit(initiatorKey, hello);
      const chain = responder.chain();
      const { message: message2, keys } = noise.writeMessage2(encodeResponderAnswer({ accepted: true, bootId, chain }));
      const second = encodeInner(innerKind.respond, index, message2);
      halfOpen++;
      let opened = false;
      const open = () => {
        if (opened) return;
        opened = true;
        halfOpen--;
        timeout.cancel();
      };
      const connection: RelayConnection = connect("responder", route, index, keys, initiatorKey, peer, (refusal) => {
        open();
        if (refusal !== undefined) return responder.refused(remoteAddress, refusal);
        connection.accept();
        responder.connected(connection, hello);
      });
      const timeout = clock.setTimer(handshakeTimeoutMs, () => {
        connection.lost(
          new RelayError({ code: "HANDSHAKE_TIMEOUT", message: "The initiator did not confirm the handshake." }),
        );
      });
      entries.set(key, {
        route: encodeBase64Url(route),
        connection,
        dropped() {
          if (!opened) link.send(route, second);
          connection.dropped();
        },
        lost: (error) => connection.lost(error),
      });
      link.send(route, second);
    } catch (error) {
      responder.refused(remoteAddress, toFedError(error));
      const code = encodeErrorCode(error);
      const refusal = noise.writeMessage2(encodeResponderAnswer({ accepted: false, code }));
      link.send(route, encodeInner(innerKind.respond, index, refusal.message));
    }
  }

  function unknown(route: Uint8Array, index: number, reason: number): void {
    link.send(route, encodeInner(innerKind.unknown, index, Uint8Array.of(reason)));
  }

  function freeIndex(route: Uint8Array): number {
    for (;;) {
      const index = new DataView(randomBytes(4).buffer).getUint32(0);
      if (!entries.has(keyOf(route, index))) return index;
    }
  }

  function entriesOf(route: Uint8Array): Entry[] {
    const name = encodeBase64Url(route);
    return [...entries.values()].filter((entry) => entry.route === name);
  }

  return {
    dial,
    get idle() {
      return entries.size === 0;
    },
    received(route, payload) {
      if (payload.length < innerHeaderBytes) return;
      const index = new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(1);
      const entry = entries.get(keyOf(route, index));
      const body = payload.subarray(innerHeaderBytes);
      switch (payload[0]) {
        case innerKind.initiate:
          return answer(route, index, body);
        case innerKind.respond:
          return entry?.respond?.(body);
        case innerKind.record:
          if (entry?.connection !== undefined) return entry.connection.receive(payload);
          return unknown(route, index, unknownReason.noSession);
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

/** Who answered, or why we do not want to talk to it. */
function judge(dial: EndpointDial, chain: readonly Uint8Array[]): { peer: PeerIdentity | undefined; error?: FedError } {
  try {
    const peer = dial.authenticate(chain);
    if (dial.expect !== undefined && peer?.hubId !== dial.expect) {
      throw new CoreError({ code: "UNEXPECTED_PEER", message: "Another hub answered than the one dialled." });
    }
    return { peer };
  } catch (error) {
    return { peer: undefined, error: toFedError(error) };
  }
}

/** Binds a handshake to this protocol, the cluster's tag and the two routes, so that a relay cannot redirect it. */
function prologueOf(tag: string, initiatorRoute: Uint8Array, responderRoute: Uint8Array): Uint8Array {
  return concatBytes(encodeUtf8(`fed-relay/1 ${tag} `), initiatorRoute, responderRoute);
}

function keyOf(route: Uint8Array, index: number): string {
  return `${encodeBase64Url(route)}/${index}`;
}

function addressOf(url: string, route: Uint8Array): string {
  return `${url}#${encodeBase64Url(route).slice(0, 8)}`;
}
