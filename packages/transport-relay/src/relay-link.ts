/**
 * One hub's (or guest's) place at one relay: a WebSocket that is admitted, kept alive and opened again when it ends.
 * docs/spec/relay.md §2, §4.
 */
import { type Clock, CoreError, type FedError, type Timer, toFedError } from "@fed/core";
import { challengeInput } from "./capability-token.js";
import { closeCode, closeError, parseRedirect, parseRetryAfterSeconds } from "./close-code.js";
import { RelayError } from "./errors.js";
import { decodeFrame, encodeFrame, keepalive } from "./frame.js";
import { offeredSubprotocols, type WebSocketConnect, type WebSocketLike, webSocketOpen } from "./web-socket.js";

const firstBackoffMs = 500;
const maxBackoffMs = 30_000;
const healthyMs = 30_000;
const keepaliveMs = 25_000;
const admissionTimeoutMs = 10_000;
const acknowledgeEveryBytes = 65_536;
const maxWaitingFrames = 4_096;

/** What a link presents to its relay. */
export interface LinkAdmission {
  readonly token: Uint8Array;
  readonly tag: string;
  readonly route: Uint8Array;
  /** Unix milliseconds. */
  readonly expiresAtMs: number;
  sign(bytes: Uint8Array): Uint8Array;
}

/** Where a link stands. */
export interface RelayState {
  readonly url: string;
  /** `up`: admitted. `waiting`: tries again at `retryAtMs`. `replaced` and `closed` are final. */
  readonly status: "connecting" | "up" | "waiting" | "replaced" | "closed";
  /** Why it is not up, where that is known. */
  readonly error?: FedError;
  /** Unix milliseconds. */
  readonly retryAtMs?: number;
}

/** What a link tells the one who made it. */
export interface RelayLinkEvents {
  state(state: RelayState): void;
  up(): void;
  /** It was up and is not any more. */
  down(error: FedError): void;
  received(route: Uint8Array, payload: Uint8Array): void;
  noRoute(route: Uint8Array): void;
  dropped(route: Uint8Array): void;
  presence(route: Uint8Array, present: boolean): void;
}

/** Options of {@link createRelayLink}. */
export interface RelayLinkOptions {
  readonly url: string;
  readonly connect: WebSocketConnect;
  readonly clock: Clock;
  /** Whether to try again for ever; a guest tries once. */
  readonly reconnect: boolean;
  readonly events: RelayLinkEvents;
  /** Asked at every attempt. */
  admission(): LinkAdmission;
}

/** A place at a relay. */
export interface RelayLink {
  readonly url: string;
  readonly state: RelayState;
  /** Our route id while up. */
  readonly route: Uint8Array | undefined;
  /** Sends to a route; silently nothing when not up, because then `down` was told. */
  send(route: Uint8Array, payload: Uint8Array): void;
  /** The relay carried something end to end: the next failure starts from a short wait again. */
  proven(): void;
  /** Leaves the relay, comes back at once with a new admission. */
  renew(): void;
  close(): void;
}

/** The origin that tokens for the relay at `url` name. @throws {RelayError} RELAY_URL_INVALID unless it is a ws: or wss: URL. */
export function relayOrigin(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.protocol !== "ws:" && parsed.protocol !== "wss:")) {
    throw new RelayError({ code: "RELAY_URL_INVALID", message: "A relay's URL starts with wss:// or ws://." });
  }
  return `${parsed.protocol}//${parsed.host}`;
}

/** Starts connecting at once. */
export function createRelayLink(options: RelayLinkOptions): RelayLink {
  const { url, clock, events } = options;
  const origin = relayOrigin(url);
  let state: RelayState = { url, status: "connecting" };
  let socket: WebSocketLike | undefined;
  let admission: LinkAdmission | undefined;
  let failures = 0;
  let notBeforeMs = 0;
  let processedBytes = 0;
  let acknowledgedBytes = 0;
  let quietUntilMs = 0;
  let awaitingPong = 0;
  /** The relay has sent this dial elsewhere: it is followed once. */
  let isRedirected = false;
  const waiting: Uint8Array[] = [];
  const timers: { phase?: Timer; healthy?: Timer; keepalive?: Timer; quiet?: Timer; expiry?: Timer } = {};

  function change(next: Omit<RelayState, "url">): void {
    state = { url, ...next };
    events.state(state);
  }

  function cancelTimers(): void {
    for (const timer of Object.values(timers)) timer?.cancel();
    for (const name of Object.keys(timers)) delete timers[name as keyof typeof timers];
  }

  function open(at = url): void {
    cancelTimers();
    isRedirected = at !== url;
    change({ status: "connecting" });
    try {
      admission = options.admission();
      socket = options.connect(at, offeredSubprotocols(admission.token));
    } catch (cause) {
      ended(toFedError(cause, "The relay's WebSocket could not be opened."), 0);
      return;
    }
    const current = socket;
    processedBytes = 0;
    acknowledgedBytes = 0;
    quietUntilMs = 0;
    awaitingPong = 0;
    waiting.length = 0;
    current.binaryType = "arraybuffer";
    timers.phase = clock.setTimer(admissionTimeoutMs, () => {
      abandon(
        new CoreError({ code: "UNREACHABLE", message: "The relay did not answer within 10 seconds.", retryable: true }),
      );
    });
    current.addEventListener("open", () => {
      if (current === socket) raw({ type: "hello", token: admission!.token });
    });
    current.addEventListener("message", ({ data }) => {
      if (current === socket) message(data);
    });
    current.addEventListener("error", () => {
      // A close event always follows; it carries the code.
    });
    current.addEventListener("close", ({ code, reason }) => {
      if (current === socket) closedByRelay(code, reason);
    });
  }

  function raw(frame: Parameters<typeof encodeFrame>[0]): void {
    transmit(encodeFrame(frame));
  }

  function transmit(data: string | Uint8Array): void {
    if (socket?.readyState === webSocketOpen) socket.send(data);
  }

  function message(data: unknown): void {
    if (data === keepalive.pong) {
      awaitingPong = 0;
      return;
    }
    try {
      if (!(data instanceof ArrayBuffer))
        throw new RelayError({ code: "FRAME_MALFORMED", message: "Unexpected text." });
      frame(new Uint8Array(data));
    } catch (error) {
      abandon(toFedError(error));
    }
  }

  function frame(bytes: Uint8Array): void {
    const received = decodeFrame(bytes);
    if (state.status !== "up") {
      if (received.type === "challenge") {
        const { tag, route, sign } = admission!;
        raw({ type: "proof", signature: sign(challengeInput(origin, tag, route, received.challenge)) });
      } else if (received.type === "welcome") admitted();
      else throw new RelayError({ code: "PROTOCOL_ERROR", message: "The relay spoke before admission." });
      return;
    }
    switch (received.type) {
      case "recv":
        events.received(received.route, received.payload);
        processed(received.payload.length);
        return;
      case "peer":
        events.presence(received.route, received.present);
        return;
      case "noRoute":
        events.noRoute(received.route);
        return;
      case "reset":
        events.dropped(received.route);
        return;
      case "rate":
        quiet(Math.min(received.waitMs, maxBackoffMs));
        return;
      case "restarting":
        notBeforeMs = clock.monotonicMs() + Math.min(received.reconnectInMs, maxBackoffMs);
        return;
      default:
        throw new RelayError({ code: "PROTOCOL_ERROR", message: "Not a frame for a hub." });
    }
  }

  function admitted(): void {
    timers.phase?.cancel();
    isRedirected = false;
    timers.healthy = clock.setTimer(healthyMs, proven);
    timers.keepalive = clock.setTimer(keepaliveMs, beat);
    timers.expiry = clock.setTimer(Math.max(0, admission!.expiresAtMs - clock.nowMs()), () => {
      abandon(new RelayError({ code: "TOKEN_EXPIRED", message: "The admission has expired.", retryable: true }), true);
    });
    change({ status: "up" });
    events.up();
  }

  function processed(length: number): void {
    processedBytes += length;
    if (processedBytes - acknowledgedBytes < acknowledgeEveryBytes) return;
    acknowledgedBytes = processedBytes;
    raw({ type: "ack", processedBytes });
  }

  function quiet(waitMs: number): void {
    quietUntilMs = clock.monotonicMs() + waitMs;
    timers.quiet?.cancel();
    timers.quiet = clock.setTimer(waitMs, () => {
      quietUntilMs = 0;
      for (const bytes of waiting.splice(0)) transmit(bytes);
    });
  }

  function beat(): void {
    if (awaitingPong >= 2) {
      abandon(new RelayError({ code: "RELAY_LOST", message: "The relay went silent.", retryable: true }));
      return;
    }
    awaitingPong++;
    transmit(keepalive.ping);
    timers.keepalive = clock.setTimer(keepaliveMs, beat);
  }

  function proven(): void {
    failures = 0;
  }

  /** Gives up on the present socket; its own close event comes late or never. */
  function abandon(error: FedError, immediately = false): void {
    const old = socket;
    socket = undefined;
    old?.close(1000);
    if (immediately) failures = 0;
    ended(error, 0, immediately);
  }

  function closedByRelay(code: number, reason: string): void {
    socket = undefined;
    const error = closeError(code, reason);
    const target = code === closeCode.elsewhere && !isRedirected ? parseRedirect(reason, url) : undefined;
    if (target !== undefined && state.status !== "closed") {
      const wasUp = state.status === "up";
      open(target);
      if (wasUp) events.down(error);
      return;
    }
    ended(error, 1000 * parseRetryAfterSeconds(reason), false, code === closeCode.replaced);
  }

  function ended(error: FedError, retryAfterMs: number, immediately = false, replaced = false): void {
    const wasUp = state.status === "up";
    cancelTimers();
    if (state.status === "closed") return;
    if (replaced) change({ status: "replaced", error });
    else if (!options.reconnect) change({ status: "closed", error });
    else {
      const ceilingMs = Math.min(maxBackoffMs, firstBackoffMs * 2 ** Math.min(failures++, 10));
      const jitteredMs = immediately ? 0 : Math.random() * ceilingMs;
      const delayMs = Math.max(retryAfterMs, notBeforeMs - clock.monotonicMs(), jitteredMs);
      notBeforeMs = 0;
      timers.phase = clock.setTimer(delayMs, () => open());
      change({ status: "waiting", error, retryAtMs: clock.nowMs() + delayMs });
    }
    if (wasUp) events.down(error);
  }

  queueMicrotask(() => {
    if (state.status === "connecting") open();
  });

  return {
    url,
    get state() {
      return state;
    },
    get route() {
      return state.status === "up" ? admission!.route : undefined;
    },
    send(route, payload) {
      if (state.status !== "up") return;
      const bytes = encodeFrame({ type: "send", route, payload });
      if (quietUntilMs === 0) return transmit(bytes);
      // Every connection's window bounds what it can add here; what does not fit is sent again by its owner.
      if (waiting.length < maxWaitingFrames) waiting.push(bytes);
    },
    proven,
    renew() {
      if (state.status !== "up") return;
      abandon(new RelayError({ code: "RELAY_LOST", message: "The route was renewed.", retryable: true }), true);
    },
    close() {
      if (state.status === "closed") return;
      const wasUp = state.status === "up";
      cancelTimers();
      change({ status: "closed" });
      const old = socket;
      socket = undefined;
      old?.close(1000);
      if (wasUp) events.down(new RelayError({ code: "RELAY_CLOSED", message: "The relay transport was closed." }));
    },
  };
}
