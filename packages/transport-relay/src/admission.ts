/**
 * How a socket is let in at a relay: a capability token, a signed challenge, and a deadline. docs/spec/relay.md §2.
 * The only timers of a relay run here, so one without waiting sockets may be put to sleep.
 */
import { type Clock, encodeBase64Url, randomBytes, type Timer } from "@fed/core";
import { verifyEd25519 } from "#relay-ed25519";
import { type CapabilityClaims, challengeInput, type RelayClass, verifyCapabilityToken } from "./capability-token.js";
import { RelayError } from "./errors.js";
import { decodeFrame, encodeFrame } from "./frame.js";

/** What a relay remembers of an admitted socket; small JSON. */
export interface RelayAdmission {
  readonly tag: string;
  /** base64url of the 16-byte route id. */
  readonly route: string;
  readonly class: RelayClass;
  /** Unix seconds. */
  readonly expires: number;
}

/** Options of {@link createAdmissions}. */
export interface AdmissionsOptions {
  /** The public keys admitted now; asked at every admission. */
  admissionKeys(): readonly Uint8Array[];
  /** What hubs name in their tokens: one of these. */
  readonly origins: readonly string[];
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** A socket that is to be let in. */
export interface Applicant {
  send(bytes: Uint8Array): void;
}

/** The sockets that wait to be let in. */
export interface Admissions<Socket extends Applicant> {
  readonly size: number;
  has(socket: Socket): boolean;
  sockets(): readonly Socket[];
  /** Gives `socket` its time; `timedOut` is called when that has passed. */
  open(socket: Socket, timedOut: () => void): void;
  /** Idempotent. */
  forget(socket: Socket): void;
  /**
   * Takes one message of a waiting socket. What it returns lets the socket in, and it waits no more.
   * @throws {RelayError} FRAME_*, TOKEN_*, PROTOCOL_ERROR, ADMISSION_REFUSED.
   */
  message(socket: Socket, bytes: Uint8Array): RelayAdmission | undefined;
}

interface Waiting {
  readonly timer: Timer;
  asked?: { readonly claims: CapabilityClaims; readonly challenge: Uint8Array };
}

/** Admissions with nobody waiting. */
export function createAdmissions<Socket extends Applicant>(options: AdmissionsOptions): Admissions<Socket> {
  const { origins, clock } = options;
  const waiting = new Map<Socket, Waiting>();

  function forget(socket: Socket): void {
    waiting.get(socket)?.timer.cancel();
    waiting.delete(socket);
  }

  return {
    get size() {
      return waiting.size;
    },
    has: (socket) => waiting.has(socket),
    sockets: () => [...waiting.keys()],
    open(socket, timedOut) {
      waiting.set(socket, { timer: clock.setTimer(options.timeoutMs, timedOut) });
    },
    forget,
    message(socket, bytes) {
      const state = waiting.get(socket)!;
      const frame = decodeFrame(bytes);
      if (frame.type === "hello" && state.asked === undefined) {
        const admissionKeys = options.admissionKeys();
        const claims = verifyCapabilityToken(frame.token, { admissionKeys, origins, atMs: clock.nowMs() });
        const challenge = randomBytes(32);
        state.asked = { claims, challenge };
        socket.send(encodeFrame({ type: "challenge", challenge }));
        return undefined;
      }
      if (frame.type !== "proof" || state.asked === undefined) {
        throw new RelayError({ code: "PROTOCOL_ERROR", message: "Not admitted yet." });
      }
      const { claims, challenge } = state.asked;
      const { audience, tag, route, expires } = claims;
      if (!verifyEd25519(claims.holderKey, frame.signature, challengeInput(audience, tag, route, challenge))) {
        throw new RelayError({
          code: "ADMISSION_REFUSED",
          message: "The challenge was not answered by the token's key.",
        });
      }
      forget(socket);
      return { tag, route: encodeBase64Url(route), class: claims.class, expires };
    },
  };
}
