/** A relay core and hubs joined by in-memory WebSockets, for tests; the wire can be watched and tampered with. */
import {
  type Clock,
  decodeBase64Url,
  decodeUtf8,
  encodeHex,
  type PeerIdentity,
  randomBytes,
  systemClock,
} from "@fed/core";
import { encodeMemoryLeaf, memoryAuthenticator } from "@fed/core/memory";
import { type RefusableAuthenticator, refusableAuthenticator } from "@fed/core/testing";
import {
  createRelayCore,
  createRelayTransport,
  deriveRelayKeys,
  generateNoiseKeyPair,
  keepalive,
  type NoiseKeyPair,
  type RekeyLimits,
  type RelayCore,
  type RelayKeys,
  type RelayLimits,
  type RelaySocket,
  type RelayTransport,
  type WebSocketConnect,
  type WebSocketLike,
} from "../src/index.js";

type Listener = (event: { data: unknown; code: number; reason: string }) => void;

/** What a tampering wire makes of one binary message from (`up`) or to the hub at `route`: none, one or more messages. */
export type Tamper = (bytes: Uint8Array, direction: "up" | "down", route: Uint8Array) => readonly Uint8Array[];

/** A live socket, as the core sees it. */
export interface MemorySocket extends RelaySocket {
  readonly hubSide: WebSocketLike;
  /** What its token names. */
  readonly route: Uint8Array;
  cut(): void;
  /** Hands a message to the hub that was not tampered with on the way. */
  inject(bytes: Uint8Array): void;
}

export interface MemoryRelay {
  readonly core: RelayCore;
  readonly origin: string;
  connect: WebSocketConnect;
  readonly sockets: Set<MemorySocket>;
  tamper: Tamper | undefined;
  /** While true the relay cannot be reached. */
  down: boolean;
}

export function createMemoryRelay(
  keys: readonly RelayKeys[],
  options: { clock?: Clock; limits?: Partial<RelayLimits>; origin?: string } = {},
): MemoryRelay {
  const origin = options.origin ?? "ws://relay.test";
  const core = createRelayCore({
    admissionKeys: () => keys.map((key) => key.admissionPublicKey),
    origin,
    clock: options.clock ?? systemClock,
    ...(options.limits && { limits: options.limits }),
  });
  const relay: MemoryRelay = { core, origin, sockets: new Set(), tamper: undefined, down: false, connect };

  function connect(_url: string, protocols: string[]): WebSocketLike {
    const claims = decodeUtf8(decodeBase64Url(protocols[1]!.split(".")[2]!));
    const route = decodeBase64Url((JSON.parse(claims) as { rt: string }).rt);
    const listeners = new Map<string, Listener[]>();
    const fire = (type: string, event: Partial<Parameters<Listener>[0]> = {}) => {
      for (const one of listeners.get(type) ?? []) one({ data: undefined, code: 1006, reason: "", ...event });
    };
    let readyState = 0;
    const end = (code: number, reason: string) => {
      if (readyState === 3) return;
      readyState = 3;
      relay.sockets.delete(relaySide);
      core.closed(relaySide);
      queueMicrotask(() => fire("close", { code, reason }));
    };
    const hubSide: WebSocketLike = {
      binaryType: "blob",
      get readyState() {
        return readyState;
      },
      bufferedAmount: 0,
      send(data) {
        if (readyState !== 1) return;
        if (typeof data === "string") {
          if (data === keepalive.ping) queueMicrotask(() => fire("message", { data: keepalive.pong }));
          return;
        }
        const copy = data.slice();
        queueMicrotask(() => {
          for (const bytes of relay.tamper?.(copy, "up", route) ?? [copy])
            if (readyState === 1) core.message(relaySide, bytes);
        });
      },
      close: (code = 1000) => end(code, ""),
      addEventListener(type: string, listener: unknown) {
        listeners.set(type, [...(listeners.get(type) ?? []), listener as Listener]);
      },
    };
    const relaySide: MemorySocket = {
      hubSide,
      route,
      inject(bytes) {
        if (readyState === 1) fire("message", { data: bytes.slice().buffer });
      },
      send(data: Uint8Array) {
        const copy = data.slice();
        queueMicrotask(() => {
          for (const bytes of relay.tamper?.(copy, "down", route) ?? [copy]) {
            if (readyState === 1) fire("message", { data: bytes.slice().buffer });
          }
        });
      },
      // What was sent before a close arrives before it.
      close: (code: number, reason: string) => void queueMicrotask(() => end(code, reason)),
      cut: () => end(1006, ""),
    };
    queueMicrotask(() => {
      if (relay.down) return end(1006, "");
      readyState = 1;
      relay.sockets.add(relaySide);
      core.open(relaySide);
      fire("open");
    });
    return hubSide;
  }
  return relay;
}

export interface TestHub {
  readonly identity: PeerIdentity;
  readonly noiseKey: NoiseKeyPair;
  readonly authenticator: RefusableAuthenticator;
  readonly transport: RelayTransport;
  /** Another process of the same hub, with the same clock unless told otherwise. */
  startAgain(clock?: Clock): TestHub;
}

/** The members of one cluster, each with a transport. */
export function createTestHubs(
  names: readonly string[],
  options: {
    relays: readonly string[];
    relayKeys: RelayKeys;
    connect: WebSocketConnect;
    clock?: Clock;
    rekey?: Partial<RekeyLimits>;
  },
): TestHub[] {
  const noiseKeys = new Map<string, NoiseKeyPair>();
  for (const name of names) noiseKeys.set(hubIdOf(name), generateNoiseKeyPair());
  // A member that never connects.
  noiseKeys.set(absentHub, generateNoiseKeyPair());
  return names.map((name) => {
    const identity = identityOf(name);
    const noiseKey = noiseKeys.get(identity.hubId)!;
    const start = (clock = options.clock): TestHub => {
      const authenticator = refusableAuthenticator(memoryAuthenticator);
      const transport = createRelayTransport({
        relays: options.relays,
        self: identity.hubId,
        noiseKey,
        leaf: () => ({ leaf: encodeMemoryLeaf(identity), chain: [] }),
        authenticator,
        relayKeys: options.relayKeys,
        noiseKeyOf: (hubId) => noiseKeys.get(hubId)?.publicKey,
        connect: options.connect,
        ...(clock && { clock }),
        ...(options.rekey && { rekey: options.rekey }),
      });
      return { identity, noiseKey, authenticator, transport, startAgain: start };
    };
    return start();
  });
}

export const absentHub = hubIdOf("z");

export function hubIdOf(name: string): string {
  return name.padEnd(26, "a");
}

function identityOf(name: string): PeerIdentity {
  const thumbprint = encodeHex(randomBytes(32));
  return { hubId: hubIdOf(name), clusterId: "c".repeat(52), name, thumbprint, serial: "01", spki: thumbprint };
}

export function testRelayKeys(fill = 7): RelayKeys {
  return deriveRelayKeys(new Uint8Array(32).fill(fill));
}
