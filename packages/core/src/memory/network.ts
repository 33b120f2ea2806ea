/**
 * An in-memory network for tests and demos: each hub gets a {@link Transport}, and the network can be broken on purpose.
 * It keeps the transport contract: delivery is never synchronous, buffers are copied, both ends authenticate.
 */
import { type Clock, systemClock } from "../clock.js";
import { abortedError, CoreError, type FedError, throwIfAborted, toFedError } from "../errors.js";
import type { HubId, PeerAuthenticator, PeerEvidence, PeerIdentity } from "../identity.js";
import { PeerError, reportError } from "../peer-error.js";
import type { Candidate, Connection, DialOptions, GuestDial, ListenHandler, Transport } from "../transport.js";
import { createConnectionPair, type EndInit, type Medium, type MemoryConnection } from "./connection.js";
import { encodeMemoryLeaf, memoryAuthenticator } from "./leaf.js";

/** Options of {@link createMemoryNetwork}. */
export interface MemoryNetworkOptions {
  /** Default the machine's clock; used only when `latencyMs` is above 0. */
  readonly clock?: Clock;
  /** One way, for messages and each half of a handshake. Default 0: the next microtask. */
  readonly latencyMs?: number;
  /** Default 1 MiB. */
  readonly maxMessageBytes?: number;
}

/** One hub on a {@link MemoryNetwork}. */
export interface MemoryTransportOptions {
  readonly identity: PeerIdentity;
  /** Where others dial it. Default the hub id. */
  readonly address?: string;
  /** Default `memory`. */
  readonly name?: string;
  /** Default 100. */
  readonly preference?: number;
  /** Judges the other end. Default {@link memoryAuthenticator}, which believes the stand-in leaf. */
  readonly authenticator?: PeerAuthenticator;
  /** What it presents to others, DER. Default the stand-in leaf of `identity` and no chain. */
  readonly leaf?: Uint8Array;
  readonly chain?: readonly Uint8Array[];
  /** What it says of itself to whoever dials it; their dials then resolve before it has judged them. Default: nothing. */
  readonly greeting?: Uint8Array;
}

/** Undoes a fault. Idempotent. */
export type Heal = () => void;

/** Hubs that can reach each other, and faults between them. */
export interface MemoryNetwork {
  transport(options: MemoryTransportOptions): Transport;
  /** Dials `<transport name>:<address>` as a guest. */
  readonly guestDial: GuestDial;
  /** Parts two hubs: what is sent is held until healed, dials end in UNREACHABLE. Nobody is told. */
  cut(a: HubId, b: HubId): Heal;
  /** Fails all dials to a hub with `error` (default UNREACHABLE); running connections stay. */
  blockDials(to: HubId, error?: FedError): Heal;
  /** Breaks all connections between two hubs; both ends hear `error`. Returns how many there were. */
  drop(a: HubId, b: HubId, error: FedError): number;
}

interface Hub {
  readonly identity: PeerIdentity;
  readonly address: string;
  readonly name: string;
  readonly evidence: PeerEvidence;
  readonly authenticator: PeerAuthenticator;
  readonly greeting: Uint8Array | undefined;
}

interface Listening {
  readonly hub: Hub;
  readonly handler: ListenHandler;
}

type Judgement =
  | { readonly caller: PeerIdentity; readonly refusal: undefined }
  | { readonly caller: undefined; readonly refusal: FedError };

interface Live {
  readonly hubs: readonly [HubId | undefined, HubId];
  readonly ends: readonly [MemoryConnection, MemoryConnection];
}

/** A network without hubs and without faults. */
export function createMemoryNetwork(options: MemoryNetworkOptions = {}): MemoryNetwork {
  const { clock = systemClock, latencyMs = 0, maxMessageBytes = 1024 * 1024 } = options;
  const listening = new Map<string, Listening>();
  const watchers = new Set<(candidate: Candidate) => void>();
  const cuts = new Set<{ readonly a: HubId; readonly b: HubId }>();
  const blocks = new Set<{ readonly to: HubId; readonly error: FedError }>();
  const live = new Set<Live>();

  function isCut(a: HubId | undefined, b: HubId): boolean {
    for (const cut of cuts) if ((cut.a === a && cut.b === b) || (cut.a === b && cut.b === a)) return true;
    return false;
  }

  /** Who listens at `address`, as far as `from` can tell now. */
  function reach(from: HubId | undefined, address: string): Listening {
    const found = listening.get(address);
    if (!found || isCut(from, found.hub.identity.hubId)) throw unreachable(address);
    for (const block of blocks) if (block.to === found.hub.identity.hubId) throw block.error;
    return found;
  }

  function connect(from: HubId | undefined, to: HubId, initiator: EndInit, responder: EndInit) {
    for (const entry of live) if (entry.ends[0].over && entry.ends[1].over) live.delete(entry);
    const medium: Medium = { clock, latencyMs, maxMessageBytes, isCut: () => isCut(from, to) };
    const ends = createConnectionPair(medium, initiator, responder);
    live.add({ hubs: [from, to], ends });
    return ends;
  }

  function accept(hand: (connection: Connection) => void, connection: Connection): void {
    try {
      hand(connection);
    } catch (cause) {
      connection.close(toFedError(cause, "The listener failed."));
    }
  }

  async function dial(from: Hub, address: string, dialOptions: DialOptions): Promise<Connection> {
    throwIfAborted(dialOptions.signal);
    await travel(clock, latencyMs, dialOptions.signal);
    const { hub } = reach(from.identity.hubId, address);
    const peer = from.authenticator.authenticate(hub.evidence);
    if (dialOptions.expect !== undefined && peer.hubId !== dialOptions.expect) {
      throw new CoreError({
        code: "UNEXPECTED_PEER",
        message: `Another hub answered at ${address} than the one dialled.`,
      });
    }
    await travel(clock, latencyMs, dialOptions.signal);
    const { hub: answering, handler } = reach(from.identity.hubId, address);
    if (answering !== hub) throw unreachable(address);
    const { greeting } = hub;
    const { caller, refusal } = judged(hub, from.evidence, from.identity.hubId, handler);
    if (refusal && !greeting) throw refusal;
    const [initiator, responder] = connect(
      from.identity.hubId,
      hub.identity.hubId,
      { transport: from.name, peer, remoteAddress: address, greeting },
      { transport: hub.name, peer: caller, remoteAddress: from.address },
    );
    if (refusal) responder.refuse(new PeerError(reportError(refusal)));
    else accept((connection) => handler.connection(connection), responder);
    return initiator;
  }

  const guestDial: GuestDial = async (address, { signal, authenticateResponder }) => {
    throwIfAborted(signal);
    const [name = "", place = ""] = splitAtColon(address);
    await travel(clock, latencyMs, signal);
    const { hub } = reach(undefined, place);
    authenticateResponder([hub.evidence.leaf, ...hub.evidence.chain]);
    await travel(clock, latencyMs, signal);
    const { hub: answering, handler } = reach(undefined, place);
    if (answering !== hub) throw unreachable(place);
    if (!handler.guest) {
      const error = new CoreError({ code: "GUEST_REFUSED", message: "The hub takes no guests now." });
      handler.refused?.("guest", error);
      throw error;
    }
    const [initiator, responder] = connect(
      undefined,
      hub.identity.hubId,
      { transport: name, peer: undefined, remoteAddress: address },
      { transport: hub.name, peer: undefined, remoteAddress: "guest" },
    );
    accept((connection) => handler.guest?.(connection), responder);
    return initiator;
  };

  function tellWatchers(candidate: Candidate): void {
    for (const watcher of watchers) queueMicrotask(() => watchers.has(watcher) && watcher(candidate));
  }

  function createTransport(from: MemoryTransportOptions): Transport {
    const hub: Hub = {
      identity: from.identity,
      address: from.address ?? from.identity.hubId,
      name: from.name ?? "memory",
      evidence: { kind: "tls", leaf: from.leaf ?? encodeMemoryLeaf(from.identity), chain: from.chain ?? [] },
      authenticator: from.authenticator ?? memoryAuthenticator,
      greeting: from.greeting,
    };
    return {
      name: hub.name,
      preference: from.preference ?? 100,
      dial: (address, dialOptions = {}) => dial(hub, address, dialOptions),
      async listen(handler, { signal } = {}) {
        throwIfAborted(signal);
        if (listening.has(hub.address)) {
          throw new CoreError({ code: "ADDRESS_IN_USE", message: `Somebody listens at ${hub.address} already.` });
        }
        const entry = { hub, handler };
        listening.set(hub.address, entry);
        tellWatchers(candidateOf(hub, true));
        const close = async () => {
          if (listening.get(hub.address) !== entry) return;
          listening.delete(hub.address);
          tellWatchers(candidateOf(hub, false));
        };
        return { addresses: [hub.address], close, [Symbol.asyncDispose]: close };
      },
      discover(onCandidate) {
        const watcher = (candidate: Candidate) => {
          if (candidate.address !== hub.address) onCandidate({ ...candidate, transport: hub.name });
        };
        watchers.add(watcher);
        for (const { hub: other } of listening.values()) {
          queueMicrotask(() => watchers.has(watcher) && watcher(candidateOf(other, true)));
        }
        const close = async () => void watchers.delete(watcher);
        return { close, [Symbol.asyncDispose]: close };
      },
      guestAddresses: () => (listening.get(hub.address)?.hub === hub ? [`${hub.name}:${hub.address}`] : []),
    };
  }

  return {
    transport: createTransport,
    guestDial,
    cut(a, b) {
      const cut = { a, b };
      cuts.add(cut);
      return () => {
        cuts.delete(cut);
        for (const { ends } of live) for (const end of ends) end.flush();
      };
    },
    blockDials(to, error = unreachable(to)) {
      const block = { to, error };
      blocks.add(block);
      return () => void blocks.delete(block);
    },
    drop(a, b, error) {
      let count = 0;
      for (const { hubs, ends } of live) {
        if (!((hubs[0] === a && hubs[1] === b) || (hubs[0] === b && hubs[1] === a))) continue;
        if (ends[0].over || ends[1].over) continue;
        for (const end of ends) end.fail(error);
        count++;
      }
      return count;
    },
  };
}

/** The responder's verdict on the initiator; a refusal is reported at both ends. */
function judged(hub: Hub, evidence: PeerEvidence, remoteAddress: string, handler: ListenHandler): Judgement {
  try {
    return { caller: hub.authenticator.authenticate(evidence), refusal: undefined };
  } catch (cause) {
    const refusal = toFedError(cause);
    handler.refused?.(remoteAddress, refusal);
    return { caller: undefined, refusal };
  }
}

function candidateOf(hub: Hub, present: boolean): Candidate {
  const named = hub.address === hub.identity.hubId ? { hubId: hub.identity.hubId } : {};
  return { transport: hub.name, address: hub.address, ...named, source: "presence", present };
}

function splitAtColon(address: string): string[] {
  const colon = address.indexOf(":");
  return colon < 0 ? ["", address] : [address.slice(0, colon), address.slice(colon + 1)];
}

/** One way through the network. @throws {CoreError} ABORTED */
function travel(clock: Clock, latencyMs: number, signal: AbortSignal | undefined): Promise<void> {
  if (latencyMs === 0) return Promise.resolve().then(() => throwIfAborted(signal));
  return new Promise((resolve, reject) => {
    const aborted = () => {
      timer.cancel();
      reject(abortedError(signal!));
    };
    const timer = clock.setTimer(latencyMs, () => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    });
    signal?.addEventListener("abort", aborted, { once: true });
  });
}

function unreachable(address: string): CoreError {
  return new CoreError({
    code: "UNREACHABLE",
    message: `Nobody answers at ${address}.`,
    hint: "Check the address, and that the hub is running.",
    retryable: true,
  });
}
