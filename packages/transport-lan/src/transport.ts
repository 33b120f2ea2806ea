/** The LAN as a {@link Transport}: mutually authenticated TLS, and DNS-SD to find it. docs/spec/lan.md. */
import { createSecureContext } from "node:tls";
import {
  type Clock,
  type Discovery,
  type HubId,
  type PeerAuthenticator,
  systemClock,
  type Transport,
  throwIfAborted,
} from "@fed/core";
import { parseAddresses } from "./address.js";
import { reachableAddresses } from "./bind.js";
import { joinSources } from "./candidate-sources.js";
import { type LanCredentials, secureContextOptions } from "./credentials.js";
import { dialTls } from "./dial.js";
import { createLanDiscovery, type DiscoveryOptions, type DiscoveryState } from "./discovery.js";
import { encodeGreeting } from "./greeting.js";
import { formatGuestAddress, memberAlpn } from "./guest.js";
import { judgeMember } from "./judge.js";
import { defaultLimits, type LanLimits } from "./limits.js";
import { createLinkWatch } from "./link-watch.js";
import { type Acceptor, acceptLan } from "./listen.js";
import { createPeerCandidates } from "./peer-candidates.js";

/** What {@link createLanTransport} is made from. */
export interface LanTransportOptions {
  /** Read at the start and at every {@link LanTransport.reloadCredentials}. */
  credentials(): LanCredentials;
  /** Judges every peer, in both directions. */
  readonly authenticator: PeerAuthenticator;
  /** This hub, so that it does not connect to itself. */
  readonly self: HubId;
  /**
   * What this hub says of itself in the handshake, 1..64 bytes, see `Connection.greeting`. Default: nothing, and then whoever
   * dials it waits for its verdict.
   */
  readonly greeting?: Uint8Array;
  /** Address to bind. Default: all, IPv6 and IPv4. */
  readonly host?: string;
  /** Port to bind. Default 0: any free one. */
  readonly port?: number;
  /** Multicast discovery. Absent: none; static peers still are candidates. */
  readonly discovery?: DiscoveryOptions;
  /** Addresses (`host:port`, several of one hub with commas between them) that are always candidates. At most 256. */
  readonly staticPeers?: readonly string[];
  readonly limits?: Partial<LanLimits>;
  readonly clock?: Clock;
}

/** The LAN transport. */
export interface LanTransport extends Transport {
  readonly name: "lan";
  discover: NonNullable<Transport["discover"]>;
  guestAddresses: NonNullable<Transport["guestAddresses"]>;
  /**
   * New handshakes use what `credentials()` says now: after a renewal, new CAs or new CRLs. Open connections stay.
   * @throws {LanError} CREDENTIALS_INVALID; the old ones then stay in use.
   */
  reloadCredentials(): void;
  /** Whether multicast works here, and where not, why. */
  discoveryState(): DiscoveryState;
  /**
   * Calls `changed`, beginning now, with the addresses at which hubs on this machine's own networks reach this one
   * (`host:port`, at most eight), whenever they differ. To be told to members over another path. Returns what ends it.
   */
  watchAddresses(changed: (addresses: readonly string[]) => void): () => void;
  /**
   * Takes the addresses that member `hubId` told over another path, in place of those it told before. Those that lie on
   * this machine's own networks become a candidate of source `peer`; an empty list withdraws it.
   */
  offerAddresses(hubId: HubId, addresses: readonly string[]): void;
}

/**
 * A LAN transport.
 * @throws {LanError} CREDENTIALS_INVALID, INVALID_ADDRESS for a static peer, GREETING_INVALID.
 */
export function createLanTransport(options: LanTransportOptions): LanTransport {
  const clock = options.clock ?? systemClock;
  const limits: LanLimits = { ...defaultLimits, ...options.limits };
  const acceptors = new Set<Acceptor>();
  const wary = new Set<string>();
  const { greeting } = options;
  const stapled = greeting && encodeGreeting({ maxMessageBytes: limits.maxMessageBytes, greeting });
  const staticPeers = (options.staticPeers ?? []).slice(0, 256);
  for (const address of staticPeers) parseAddresses(address);
  let contextOptions = secureContextOptions(options.credentials());
  let clientContext = createSecureContext(contextOptions);
  const watch = createLinkWatch({ clock });
  const discovery = options.discovery && createLanDiscovery({ ...options.discovery, host: options.host, clock, watch });
  const peers = createPeerCandidates({
    watch,
    interfaces: options.discovery?.interfaces,
    listening: () => [...acceptors].at(-1),
  });

  return {
    name: "lan",
    preference: 10,

    async dial(address, { signal, expect } = {}) {
      return dialTls(parseAddresses(address), {
        alpn: memberAlpn,
        context: clientContext,
        judge: (socket) => judgeMember(socket, options.authenticator, { self: options.self, expect }),
        maxMessageBytes: limits.maxMessageBytes,
        wary,
        limits,
        clock,
        signal,
      });
    },

    async listen(handler, { signal } = {}) {
      throwIfAborted(signal);
      const { self, authenticator, host, port = 0 } = options;
      const acceptor = await acceptLan(
        { self, authenticator, context: contextOptions, stapled, limits, clock, host, port },
        handler,
      );
      acceptors.add(acceptor);
      const advertisement = discovery?.advertise(acceptor);
      let closing: Promise<void> | undefined;
      const close = (): Promise<void> => {
        acceptors.delete(acceptor);
        signal?.removeEventListener("abort", close);
        closing ??= Promise.all([advertisement?.close(), acceptor.close()]).then(() => {});
        return closing;
      };
      signal?.addEventListener("abort", close, { once: true });
      return {
        addresses: reachableAddresses(acceptor.host, acceptor.port),
        close,
        [Symbol.asyncDispose]: close,
      };
    },

    discover(watcher) {
      const onCandidate = joinSources(watcher);
      let open = true;
      queueMicrotask(() => {
        for (const address of staticPeers) {
          if (open) onCandidate({ transport: "lan", address, source: "static", present: true });
        }
      });
      const browsing = discovery?.browse(onCandidate);
      const stopPeers = peers.browse(onCandidate);
      const close = async (): Promise<void> => {
        open = false;
        stopPeers();
        await browsing?.close();
      };
      return { close, [Symbol.asyncDispose]: close } satisfies Discovery;
    },

    guestAddresses() {
      const all = [...acceptors].flatMap(({ host, port }) => reachableAddresses(host, port));
      return all.slice(0, 8).map(formatGuestAddress);
    },

    reloadCredentials() {
      contextOptions = secureContextOptions(options.credentials());
      clientContext = createSecureContext(contextOptions);
      for (const acceptor of acceptors) acceptor.setContext(contextOptions);
    },

    watchAddresses: peers.watchOwn,
    offerAddresses: peers.offer,

    discoveryState: () => discovery?.state() ?? { status: "off", interfaces: [] },
  };
}
