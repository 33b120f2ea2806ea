/** A place at a relay without a hub behind it: speaks outer frames by hand, well or badly. */
import { encodeUtf8, randomBytes } from "@fed/core";
import { decodeFrame, encodeFrame, type Frame, type RelayKeys } from "@fed/transport-relay";
import { WebSocket } from "ws";
import {
  type CapabilityClaims,
  challengeInput,
  seedSigner,
  signCapabilityToken,
} from "../../../packages/transport-relay/src/capability-token.js";
import { parseRedirect } from "../../../packages/transport-relay/src/close-code.js";
import { ed25519PublicKey } from "../../../packages/transport-relay/src/ed25519-node.js";
import { offeredSubprotocols } from "../../../packages/transport-relay/src/web-socket.js";

/** Options of {@link openRawHub}. */
export interface RawHubOptions {
  /** The relay's URL as hubs know it. */
  readonly url: string;
  readonly keys: RelayKeys;
  readonly route?: Uint8Array;
  readonly claims?: Partial<CapabilityClaims>;
  /** What is offered and said instead of a token. */
  readonly token?: Uint8Array;
  /** What PROOF says; default the right answer. `null`: nothing. */
  readonly prove?: ((hub: RawHub, challenge: Uint8Array) => Uint8Array) | null;
  /** Whether RECV is acknowledged, as a hub does. Default true. */
  readonly acknowledges?: boolean;
  /** Whether to keep what is received. Default true; false where only speed counts. */
  readonly keeps?: boolean;
}

/** One WebSocket to a relay. */
export interface RawHub {
  readonly socket: WebSocket;
  readonly route: Uint8Array;
  readonly frames: Frame[];
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Settled once WELCOME is there, or refused by the close. */
  readonly admitted: Promise<void>;
  readonly challengeAnswer: (challenge: Uint8Array) => Uint8Array;
  say(frame: Frame): void;
  send(to: RawHub, payload: Uint8Array): void;
  count(type: Frame["type"]): number;
  /** Called with every frame. */
  onFrame(listener: (frame: Frame) => void): void;
  close(): void;
}

/** Opens a WebSocket and joins with it; a redirect is followed once. */
export function openRawHub(options: RawHubOptions): RawHub {
  const { keys, acknowledges = true, keeps = true } = options;
  const seed = randomBytes(32);
  const route = options.route ?? randomBytes(16);
  const origin = options.url;
  const notBefore = Math.floor(Date.now() / 1000) - 60;
  const claims: CapabilityClaims = {
    audience: origin,
    tag: keys.tag,
    route,
    holderKey: ed25519PublicKey(seed),
    class: "hub",
    notBefore,
    expires: notBefore + 3_600,
    ...options.claims,
  };
  const token = options.token ?? encodeUtf8(signCapabilityToken(claims, seedSigner(keys.admissionSecretKey)));
  const frames: Frame[] = [];
  const listeners: ((frame: Frame) => void)[] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  const admitted = Promise.withResolvers<void>();
  admitted.promise.catch(() => {});
  let processed = 0;
  let acknowledged = 0;
  let isRedirected = false;
  let socket: WebSocket;

  function connect(url: string): void {
    socket = new WebSocket(url, offeredSubprotocols(token), { perMessageDeflate: false });
    socket.binaryType = "arraybuffer";
    socket.on("open", () => hub.say({ type: "hello", token }));
    socket.on("message", (data, isBinary) => {
      if (isBinary) receive(decodeFrame(new Uint8Array(data as ArrayBuffer)));
    });
    socket.on("error", () => {});
    socket.on("close", (code, reason) => {
      const target = isRedirected ? undefined : parseRedirect(reason.toString(), url);
      isRedirected = target !== undefined;
      if (target !== undefined) return connect(target);
      admitted.reject(new Error(`closed: ${code} ${reason}`));
      closed.resolve({ code, reason: reason.toString() });
    });
  }

  function receive(frame: Frame): void {
    if (keeps || frame.type !== "recv") frames.push(frame);
    if (frame.type === "challenge" && options.prove !== null) {
      hub.say({
        type: "proof",
        signature: (options.prove ?? ((_, value) => hub.challengeAnswer(value)))(hub, frame.challenge),
      });
    }
    if (frame.type === "welcome") {
      isRedirected = false;
      admitted.resolve();
    }
    if (frame.type === "recv" && acknowledges) {
      processed += frame.payload.length;
      if (processed - acknowledged >= 65_536) {
        acknowledged = processed;
        hub.say({ type: "ack", processedBytes: processed });
      }
    }
    for (const listener of listeners) listener(frame);
  }

  const hub: RawHub = {
    get socket() {
      return socket;
    },
    route,
    frames,
    closed: closed.promise,
    admitted: admitted.promise,
    challengeAnswer: (challenge) => seedSigner(seed)(challengeInput(claims.audience, claims.tag, route, challenge)),
    say: (frame) => socket.send(encodeFrame(frame)),
    send: (to, payload) => hub.say({ type: "send", route: to.route, payload }),
    count: (type) => frames.filter((frame) => frame.type === type).length,
    onFrame: (listener) => void listeners.push(listener),
    close: () => socket.terminate(),
  };
  connect(options.url);
  return hub;
}

/** {@link openRawHub}, once it is admitted. */
export async function joinRawHub(options: RawHubOptions): Promise<RawHub> {
  const hub = openRawHub(options);
  await hub.admitted;
  return hub;
}
