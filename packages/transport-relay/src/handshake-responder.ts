/** The side of a handshake that answers. What can be refused is refused before it costs anything. docs/spec/relay.md §5. */
import { encodeBase64Url, type FedError, type PeerIdentity, type Timer, toFedError } from "@fed/core";
import {
  type EndpointContext,
  entryKeyOf,
  handshakeTimeoutMs,
  prologueOf,
  remoteAddressOf,
  retryDroppedMs,
} from "./endpoint-entry.js";
import { notForUs, tooManyHandshakes, unknownReason } from "./endpoint-error.js";
import { RelayError } from "./errors.js";
import { createHandshakeMac, handshakeMacBytes } from "./handshake-mac.js";
import {
  decodeInitiatorHello,
  encodeErrorCode,
  encodeResponderAnswer,
  type InitiatorHello,
  maxHandshakePayloadBytes,
} from "./handshake-payload.js";
import { createHandshakeRates } from "./handshake-rates.js";
import { noiseIk, noiseMessage1Overhead } from "./noise.js";
import { encodeInner, innerKind } from "./record.js";
import type { RelayConnection } from "./relay-connection.js";
import { createUnconfirmed } from "./unconfirmed.js";

const maxAnswered = 1_024;
const maxAnsweredPerRoute = 16;
const maxInitiationBytes = maxHandshakePayloadBytes + noiseMessage1Overhead + handshakeMacBytes;

/** What the responder needs to judge and answer an initiator. */
export interface Responder {
  /** The identity of a member, or undefined for a guest. @throws {FedError} to refuse. */
  admit(initiatorKey: Uint8Array, hello: InitiatorHello): PeerIdentity | undefined;
  /** DER, leaf first. */
  chain(): readonly Uint8Array[];
  connected(connection: RelayConnection, hello: InitiatorHello): void;
  refused(remoteAddress: string, error: FedError): void;
}

/** Answers the initiations that come over one link. */
export interface HandshakeResponder {
  /** The body of an initiation that came from `route`, which is kept. `responder` is undefined while nobody listens. */
  answer(route: Uint8Array, index: number, body: Uint8Array, responder: Responder | undefined): void;
  /** Tells the other side that a record of its was for no connection. */
  unknown(route: Uint8Array, index: number): void;
}

/** A responder that has answered nothing yet. */
export function createHandshakeResponder(context: EndpointContext): HandshakeResponder {
  const { link, clock, noiseKey, bootId, entries } = context;
  const mac = createHandshakeMac(noiseKey.publicKey);
  const rates = createHandshakeRates(clock);
  // A member may come by many routes, but with one key: most of a handshake's cost is after its key is known.
  const keyRates = createHandshakeRates(clock);
  // What costs us no handshake is answered as rarely: our place at the relay has a rate, too, and others need it.
  const declines = createHandshakeRates(clock);
  const unconfirmed = createUnconfirmed();

  function decline(route: Uint8Array, index: number, reason: number, tell?: () => void): void {
    if (!declines.allows(route)) return;
    tell?.();
    link.send(route, encodeInner(innerKind.unknown, index, Uint8Array.of(reason)));
  }

  function isFull(name: string): boolean {
    let answered = 0;
    let ofRoute = 0;
    for (const entry of entries.values()) {
      if (!entry.answered) continue;
      answered++;
      if (entry.route === name) ofRoute++;
    }
    return answered >= maxAnswered || ofRoute >= maxAnsweredPerRoute;
  }

  return {
    unknown: (route, index) => decline(route, index, unknownReason.noSession),
    answer(route, index, body, responder) {
      const key = entryKeyOf(route, index);
      if (entries.has(key)) return;
      if (responder === undefined) return decline(route, index, unknownReason.notListening);
      const remoteAddress = remoteAddressOf(link.url, route);
      const refuse = (reason: number, error: FedError) =>
        decline(route, index, reason, () => responder.refused(remoteAddress, error));
      if (body.length > maxInitiationBytes) {
        const message = "A handshake message is too large.";
        return refuse(unknownReason.unreadable, new RelayError({ code: "HANDSHAKE_MALFORMED", message }));
      }
      const ownRoute = link.route!;
      const message1 = mac.open({ initiatorRoute: route, responderRoute: ownRoute, index }, body);
      if (message1 === undefined) return refuse(unknownReason.unreadable, notForUs());
      const name = encodeBase64Url(route);
      if (isFull(name) || !rates.allows(route)) return refuse(unknownReason.busy, tooManyHandshakes());

      const prologue = prologueOf(context.tag, route, ownRoute);
      const noise = noiseIk.createResponder({ keyPair: noiseKey, prologue });
      let initiatorKey: Uint8Array;
      let payload: Uint8Array;
      try {
        ({ initiatorKey, payload } = noise.readMessage1(message1));
      } catch (error) {
        return refuse(unknownReason.unreadable, toFedError(error));
      }
      if (!keyRates.allows(initiatorKey)) return refuse(unknownReason.busy, tooManyHandshakes());
      try {
        const hello = decodeInitiatorHello(payload);
        const peer = responder.admit(initiatorKey, hello);
        const chain = responder.chain();
        const answer = noise.writeMessage2(encodeResponderAnswer({ accepted: true, bootId, chain }));
        const second = encodeInner(innerKind.respond, index, answer.message);
        let retry: Timer | undefined;
        const settle = () => {
          taken();
          timeout.cancel();
          retry?.cancel();
        };
        const connection: RelayConnection = context.connect({
          role: "responder",
          route,
          index,
          keys: answer.keys,
          peerNoiseKey: initiatorKey,
          peer,
          confirmed(refusal) {
            settle();
            if (refusal !== undefined) return responder.refused(remoteAddress, refusal);
            connection.accept();
            responder.connected(connection, hello);
          },
        });
        const timeout = clock.setTimer(handshakeTimeoutMs, () => {
          const message = "The initiator did not confirm the handshake.";
          connection.lost(new RelayError({ code: "HANDSHAKE_TIMEOUT", message }));
        });
        const taken = unconfirmed.add(name, () => connection.lost(tooManyHandshakes()));
        entries.set(key, {
          route: name,
          answered: true,
          connection,
          dropped() {
            if (!connection.opening) return connection.dropped();
            // Only message 2 was sent. Not at once: a relay that drops everything would make us send for ever.
            retry ??= clock.setTimer(retryDroppedMs, () => {
              retry = undefined;
              link.send(route, second);
            });
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
    },
  };
}
