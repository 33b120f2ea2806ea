/** The side of a handshake that dials. docs/spec/relay.md §5. */
import {
  abortedError,
  CoreError,
  encodeBase64Url,
  type FedError,
  type HubId,
  type PeerIdentity,
  randomBytes,
  type Timer,
  toFedError,
} from "@fed/core";
import {
  type EndpointContext,
  type EndpointEntry,
  entryKeyOf,
  handshakeTimeoutMs,
  prologueOf,
  retryDroppedMs,
} from "./endpoint-entry.js";
import { refusedBy, unreachable } from "./endpoint-error.js";
import { RelayError } from "./errors.js";
import { createHandshakeMac } from "./handshake-mac.js";
import { decodeResponderAnswer, encodeInitiatorHello, type InitiatorHello } from "./handshake-payload.js";
import { noiseIk } from "./noise.js";
import { encodeInner, innerKind } from "./record.js";
import type { RelayConnection } from "./relay-connection.js";

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

/** Resolves once the responder has accepted the connection. */
export function initiate(context: EndpointContext, dial: EndpointDial): Promise<RelayConnection> {
  const { link, clock, entries } = context;
  const { route, responderKey, signal } = dial;
  if (signal?.aborted) return Promise.reject(abortedError(signal));
  const ownRoute = link.route;
  if (ownRoute === undefined) return Promise.reject(unreachable("The relay is not connected."));
  const index = freeIndex(entries, route);
  const key = entryKeyOf(route, index);
  return new Promise((resolve, reject) => {
    const prologue = prologueOf(context.tag, ownRoute, route);
    const initiator = noiseIk.createInitiator({ keyPair: context.noiseKey, responderKey, prologue });
    const message1 = initiator.writeMessage1(encodeInitiatorHello({ ...dial.hello, bootId: context.bootId }));
    const place = { initiatorRoute: ownRoute, responderRoute: route, index };
    const body = createHandshakeMac(responderKey).prepend(place, message1);
    const first = encodeInner(innerKind.initiate, index, body);
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
        connection = context.connect({
          role: "initiator",
          route,
          index,
          keys,
          peerNoiseKey: responderKey,
          peer: judged.peer,
          confirmed(refusal) {
            settle();
            if (refusal === undefined) resolve(connection!);
            else reject(refusal);
          },
        });
        entry.connection = connection;
        if (judged.error === undefined) connection.confirm();
        else fail(judged.error);
      } catch (error) {
        fail(toFedError(error));
      }
    }
    const entry: EndpointEntry = {
      route: encodeBase64Url(route),
      answered: false,
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

function freeIndex(entries: ReadonlyMap<string, EndpointEntry>, route: Uint8Array): number {
  for (;;) {
    const index = new DataView(randomBytes(4).buffer).getUint32(0);
    if (!entries.has(entryKeyOf(route, index))) return index;
  }
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
