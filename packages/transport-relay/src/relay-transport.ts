/** The {@link Transport} that reaches hubs through relays which cannot read what they carry. docs/spec/relay.md. */

import {
  abortedError,
  type Clock,
  type Connection,
  CoreError,
  type DialOptions,
  encodeBase64Url,
  encodeUtf8,
  equalBytes,
  type HubId,
  type Listener,
  type ListenHandler,
  type PeerAuthenticator,
  type PeerIdentity,
  randomBytes,
  systemClock,
  type Timer,
  type Transport,
  throwIfAborted,
  toFedError,
} from "@fed/core";
import { ed25519PublicKey } from "#relay-ed25519";
import { maxTokenLifeSeconds, seedSigner, signCapabilityToken, tokenClockSkewSeconds } from "./capability-token.js";
import { RelayError } from "./errors.js";
import { routeIdBytes } from "./frame.js";
import { formatGuestAddress } from "./guest-address.js";
import { bootIdBytes, type InitiatorHello } from "./handshake-payload.js";
import type { Responder } from "./handshake-responder.js";
import { defaultRekeyLimits, type RekeyLimits } from "./key-renewal.js";
import type { NoiseKeyPair } from "./noise.js";
import type { RelayConnection } from "./relay-connection.js";
import { createRelayEndpoint, type RelayEndpoint } from "./relay-endpoint.js";
import { type RelayKeys, routeOf, routesOf } from "./relay-keys.js";
import { createRelayLink, type RelayLink, type RelayState, relayOrigin } from "./relay-link.js";
import { raceRelays } from "./relay-race.js";
import { connectWebSocket, type WebSocketConnect } from "./web-socket.js";

const firstLinkWaitMs = 5_000;
const maintainEveryMs = 600_000;
const maxInitiators = 4_096;

/** A hub's certificates, DER. */
export interface RelayLeaf {
  readonly leaf: Uint8Array;
  /** The rest of the chain, leaf's issuer first. */
  readonly chain: readonly Uint8Array[];
}

/** Options of {@link createRelayTransport}. */
export interface RelayTransportOptions {
  /** wss: (or, for tests, ws:) URLs; all are used at once. */
  readonly relays: readonly string[];
  readonly self: HubId;
  readonly noiseKey: NoiseKeyPair;
  /** Asked at every handshake, so that a renewed leaf is used at once. */
  leaf(): RelayLeaf;
  readonly authenticator: PeerAuthenticator;
  /** From `deriveRelayKeys(clusterKey)`. */
  readonly relayKeys: RelayKeys;
  /** A member's Noise key, 32 bytes, from the manifest. */
  noiseKeyOf(hubId: HubId): Uint8Array | undefined;
  /** Default the platform's WebSocket. */
  readonly connect?: WebSocketConnect;
  readonly clock?: Clock;
  readonly rekey?: Partial<RekeyLimits>;
  /** Told about every change of a relay's state. */
  onState?(state: RelayState): void;
}

/** A {@link Transport} over relays; addresses are hub ids. */
export interface RelayTransport extends Transport, AsyncDisposable {
  /** Where each relay stands now, in the order of the URLs. */
  readonly relayStates: readonly RelayState[];
  guestAddresses(expiresAtMs: number): readonly string[];
  /** Leaves all relays; connections end with RELAY_CLOSED, at both sides. Idempotent. */
  close(): Promise<void>;
}

interface Home {
  readonly link: RelayLink;
  readonly endpoint: RelayEndpoint;
  readonly present: Set<string>;
  /** When a handshake or a connection over this relay last failed; monotonic. */
  troubledAtMs: number;
  /** Guests were told this route; it is kept until then. */
  pinned?: { readonly route: Uint8Array; readonly untilMs: number };
}

/**
 * Connects to the relays at once and for ever; one that is down is tried again and never an error here.
 * @throws {RelayError} RELAY_URL_INVALID.
 */
export function createRelayTransport(options: RelayTransportOptions): RelayTransport {
  const { self, noiseKey, relayKeys } = options;
  const clock = options.clock ?? systemClock;
  const rekey: RekeyLimits = { ...defaultRekeyLimits, ...options.rekey };
  const bootId = randomBytes(bootIdBytes);
  const authSeed = randomBytes(32);
  const authPublicKey = ed25519PublicKey(authSeed);
  const signToken = seedSigner(relayKeys.admissionSecretKey);
  const newestTimestamps = new Map<string, number>();
  const live = new Map<RelayConnection, { readonly noiseKey: Uint8Array; readonly bootId: Uint8Array }>();
  const waiters = new Set<() => void>();
  let lastTimestamp = 0;
  let listening: ListenHandler | undefined;
  let closed = false;
  let maintenance: Timer | undefined;

  const responder: Responder = {
    admit(initiatorKey, hello) {
      if (hello.role === "guest") {
        if (listening?.guest !== undefined) return undefined;
        throw new CoreError({ code: "GUEST_REFUSED", message: "The hub takes no guests now." });
      }
      const name = encodeBase64Url(initiatorKey);
      // Before the authenticator hears of it: a replayed chain says what the member was, not what it is.
      if (hello.timestamp <= (newestTimestamps.get(name) ?? -1)) {
        throw new RelayError({
          code: "HANDSHAKE_REPLAYED",
          message: "The handshake is not newer than an earlier one.",
          hint: "Was the other hub's clock set back?",
        });
      }
      const peer = authenticate(initiatorKey, hello.chain);
      if (newestTimestamps.size >= maxInitiators) newestTimestamps.delete(newestTimestamps.keys().next().value!);
      newestTimestamps.delete(name);
      newestTimestamps.set(name, hello.timestamp);
      return peer;
    },
    chain: ownChain,
    connected(connection, hello) {
      if (hello.role === "member") endOlderBoots(connection, hello);
      const hand = hello.role === "member" ? listening?.connection : listening?.guest;
      try {
        if (hand === undefined) throw new CoreError({ code: "CLOSED", message: "The hub stopped listening." });
        hand.call(listening, connection);
      } catch (error) {
        connection.close(toFedError(error, "The listener failed."));
      }
    },
    refused: (remoteAddress, error) => listening?.refused?.(remoteAddress, error),
  };

  const homes = options.relays.map(createHome);
  maintenance = clock.setTimer(maintainEveryMs, maintain);

  function createHome(url: string): Home {
    const origin = relayOrigin(url);
    const present = new Set<string>();
    const link = createRelayLink({
      url,
      connect: options.connect ?? connectWebSocket,
      clock,
      reconnect: true,
      admission() {
        const nowMs = clock.nowMs();
        const notBefore = Math.floor(nowMs / 1000) - tokenClockSkewSeconds;
        const expires = notBefore + maxTokenLifeSeconds;
        const { pinned } = home;
        const route = pinned && pinned.untilMs > nowMs ? pinned.route : routeOf(relayKeys.routeKey, self, nowMs);
        const claims = { audience: origin, tag: relayKeys.tag, route, holderKey: authPublicKey, notBefore, expires };
        const token = encodeUtf8(signCapabilityToken({ ...claims, class: "hub" }, signToken));
        return { token, tag: relayKeys.tag, route, expiresAtMs: expires * 1000, sign: seedSigner(authSeed) };
      },
      events: {
        state(state) {
          options.onState?.(state);
          for (const waiter of [...waiters]) waiter();
        },
        up: () => {},
        down(error) {
          present.clear();
          endpoint.lost(error);
        },
        received: (route, payload) => endpoint.received(route, payload),
        noRoute: (route) => endpoint.noRoute(route),
        dropped: (route) => endpoint.dropped(route),
        presence(route, isPresent) {
          if (isPresent) present.add(encodeBase64Url(route));
          else present.delete(encodeBase64Url(route));
        },
      },
    });
    const endpoint = createRelayEndpoint({
      link,
      tag: relayKeys.tag,
      noiseKey,
      bootId,
      clock,
      rekey,
      ended(error) {
        // What either hub ended by itself is not the relay's fault.
        if (error instanceof RelayError && error.code !== "RELAY_CLOSED") home.troubledAtMs = clock.monotonicMs();
      },
      responder: () => (listening === undefined ? undefined : responder),
    });
    const home: Home = { link, endpoint, present, troubledAtMs: -1 };
    return home;
  }

  function authenticate(key: Uint8Array, chain: readonly Uint8Array[]): PeerIdentity {
    return options.authenticator.authenticate({ kind: "noise", noiseKey: key, leaf: chain[0]!, chain: chain.slice(1) });
  }

  function ownChain(): readonly Uint8Array[] {
    const { leaf, chain } = options.leaf();
    return [leaf, ...chain];
  }

  /** A hub that was started again has forgotten what it had open. */
  function endOlderBoots(connection: RelayConnection, hello: InitiatorHello): void {
    const peerKey = connection.peerNoiseKey;
    for (const [other, origin] of live) {
      if (other.ended) live.delete(other);
      else if (equalBytes(origin.noiseKey, peerKey) && !equalBytes(origin.bootId, hello.bootId)) {
        live.delete(other);
        other.lost(
          new RelayError({ code: "SESSION_LOST", message: "The other hub was started again.", retryable: true }),
        );
      }
    }
    live.set(connection, { noiseKey: peerKey, bootId: hello.bootId });
  }

  /** Takes today's route when nothing would be interrupted; a link's admission ends after a day in any case. */
  function maintain(): void {
    const nowMs = clock.nowMs();
    const route = routeOf(relayKeys.routeKey, self, nowMs);
    for (const { link, endpoint, pinned } of homes) {
      if (link.route === undefined || equalBytes(link.route, route)) continue;
      if (endpoint.idle && !(pinned && pinned.untilMs > nowMs)) link.renew();
    }
    maintenance = clock.setTimer(maintainEveryMs, maintain);
  }

  /** Resolves when a link is up, none can come up soon, or time is up. */
  function firstLink(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        waiters.delete(check);
        timer.cancel();
        signal?.removeEventListener("abort", onAbort);
      };
      const check = () => {
        if (!homes.some(({ link }) => link.state.status === "up") && homes.some(isTrying)) return;
        finish();
        resolve();
      };
      const onAbort = () => {
        finish();
        reject(abortedError(signal!));
      };
      const timer = clock.setTimer(firstLinkWaitMs, () => {
        finish();
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
      waiters.add(check);
      check();
    });
  }

  async function dial(hubId: HubId, dialOptions: DialOptions = {}): Promise<Connection> {
    const { signal, expect = hubId } = dialOptions;
    throwIfAborted(signal);
    if (closed) throw new RelayError({ code: "RELAY_CLOSED", message: "The relay transport was closed." });
    const responderKey = options.noiseKeyOf(hubId);
    if (responderKey === undefined) {
      throw new RelayError({
        code: "NOISE_KEY_UNKNOWN",
        message: "No Noise key is known for this hub.",
        hint: "Is it a member of the current manifest?",
      });
    }
    await firstLink(signal);
    const attempts = waysTo(hubId).map(({ home, route }) => async (raceSignal: AbortSignal) => {
      lastTimestamp = Math.max(lastTimestamp + 1, Math.floor(clock.nowMs() * 1000));
      try {
        const connection = await home.endpoint.dial({
          route,
          responderKey,
          hello: { role: "member", timestamp: lastTimestamp, chain: ownChain() },
          authenticate: (chain) => authenticate(responderKey, chain),
          expect,
          signal: raceSignal,
        });
        home.link.proven();
        return connection;
      } catch (error) {
        if (error instanceof RelayError) home.troubledAtMs = clock.monotonicMs();
        throw error;
      }
    });
    return raceRelays(attempts, { clock, signal });
  }

  /** Every (relay, route) under which the hub may be: first where it is said to be, there first what was last in trouble longest ago. */
  function waysTo(hubId: HubId): { home: Home; route: Uint8Array }[] {
    const up = homes
      .filter(({ link }) => link.state.status === "up")
      .sort((one, other) => one.troubledAtMs - other.troubledAtMs);
    const routes = routesOf(relayKeys.routeKey, hubId, clock.nowMs());
    const ways = routes.flatMap((route) => up.map((home) => ({ home, route })));
    const isPresent = ({ home, route }: { home: Home; route: Uint8Array }) => home.present.has(encodeBase64Url(route));
    return [...ways.filter(isPresent), ...ways.filter((way) => !isPresent(way))];
  }

  async function listen(handler: ListenHandler, { signal }: { signal?: AbortSignal } = {}): Promise<Listener> {
    throwIfAborted(signal);
    if (listening !== undefined) {
      throw new CoreError({ code: "ADDRESS_IN_USE", message: "This transport already listens." });
    }
    listening = handler;
    const stop = async () => {
      if (listening === handler) listening = undefined;
    };
    try {
      await firstLink(signal);
    } catch (error) {
      await stop();
      throw error;
    }
    return { addresses: [self], close: stop, [Symbol.asyncDispose]: stop };
  }

  function guestAddresses(expiresAtMs: number): readonly string[] {
    if (listening?.guest === undefined) return [];
    const nowSeconds = Math.floor(clock.nowMs() / 1000);
    const notBefore = nowSeconds - tokenClockSkewSeconds;
    const expires = Math.min(Math.floor(expiresAtMs / 1000), notBefore + maxTokenLifeSeconds);
    if (expires <= nowSeconds) return [];
    return homes.map((home) => {
      const { url } = home.link;
      const route = home.link.route ?? routeOf(relayKeys.routeKey, self, clock.nowMs());
      home.pinned = { route, untilMs: Math.max(home.pinned?.untilMs ?? 0, expires * 1000) };
      const seed = randomBytes(32);
      const token = signCapabilityToken(
        {
          audience: relayOrigin(url),
          tag: relayKeys.tag,
          route: randomBytes(routeIdBytes),
          holderKey: ed25519PublicKey(seed),
          class: "guest",
          notBefore,
          expires,
        },
        signToken,
      );
      return formatGuestAddress({ url, route, noiseKey: noiseKey.publicKey, seed, token });
    });
  }

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    listening = undefined;
    maintenance?.cancel();
    const error = new RelayError({ code: "RELAY_CLOSED", message: "The relay transport was closed." });
    for (const { link, endpoint } of homes) {
      endpoint.close(error);
      link.close();
    }
  }

  return {
    name: "relay",
    preference: 50,
    get relayStates() {
      return homes.map(({ link }) => link.state);
    },
    dial,
    listen,
    guestAddresses,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function isTrying({ link }: Home): boolean {
  return link.state.status === "connecting";
}
