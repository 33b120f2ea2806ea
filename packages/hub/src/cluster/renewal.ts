/**
 * Keeping certificates young: leaves and the manifest are renewed once half of their life is over.
 *
 * A hub that holds the CA's key renews its own leaf, and one that holds the authority's key signs the manifest anew.
 * Every other hub asks its peers on a `renew` stream until one that holds the CA's key answers. A hop proof names the leaf
 * it is made with, so peers are shown the new one on a `leaf` stream before it is used, and no session has to be replaced.
 *
 * ```
 * {"k":"renew","v":1}     OPEN header; the session itself proves who asks, so there is no request
 * <leaf, DER>             the only answer: same hub, same key, a new term. A refusal resets the stream.
 *
 * {"k":"leaf","v":1}      OPEN header
 * <leaf, DER>             the opener's next leaf; the stream's end says that it is known now
 * ```
 */
import {
  type Clock,
  encodeUtf8,
  type FedError,
  type HubId,
  type PeerIdentity,
  type Session,
  type Stream,
  type Timer,
  toFedError,
} from "@fed/core";
import type { Leaf } from "@fed/trust";
import { HubError } from "../errors.js";
import type { Membership } from "./membership.js";
import type { PeerLeaves } from "./peer-leaves.js";

/** How often the hub looks whether something is due; a peer that connects is a reason to look as well. */
const lookEveryMs = 60 * 60_000;
/** A member gets one leaf in this time, so that it cannot fill the issuer's audit log. */
const issueEveryMs = 60_000;
/** How long a peer may take to answer. */
const answerMs = 10_000;

/** OPEN headers. */
const renewHeader = encodeUtf8('{"k":"renew","v":1}');
const leafHeader = encodeUtf8('{"k":"leaf","v":1}');

/** Options of {@link createRenewal}. */
export interface RenewalOptions {
  readonly membership: Membership;
  readonly clock: Clock;
  /** The sessions with members, now. */
  readonly sessions: () => readonly Session[];
  readonly peerLeaves: PeerLeaves;
  /** Durable before the leaf leaves this hub. */
  readonly onIssued: (leaf: Leaf) => Promise<void>;
  /** What could not be renewed now; it is tried again. */
  readonly onError: (error: FedError) => void;
}

/** Renews what this hub holds, and the leaves of members that ask. */
export interface Renewal {
  /** Renews what this hub can renew by itself, then looks again every hour. */
  start(): Promise<void>;
  /** Renews what is due. Never rejects; one look at a time. */
  look(): Promise<void>;
  /** A peer has connected: whatever is due can be asked of it, and it may have seen the leaf before last. */
  greet(peer: PeerIdentity): Promise<void>;
  /** Answers a `renew` stream. */
  serveRenew(session: Session, stream: Stream): Promise<void>;
  /** Answers a `leaf` stream. */
  serveLeaf(session: Session, stream: Stream): Promise<void>;
  /** Idempotent. */
  close(): void;
}

/** See the module header. */
export function createRenewal(options: RenewalOptions): Renewal {
  const { membership, clock, onError } = options;
  const issuedAtMs = new Map<HubId, number>();
  let timer: Timer | undefined;
  let looking: Promise<void> | undefined;
  /** Whether sessions of this process may have been opened with the leaf before. */
  let renewed = false;
  let closed = false;

  function tick(): void {
    void renewal.look();
    timer = clock.setTimer(lookEveryMs, tick);
  }

  async function renewManifest(): Promise<void> {
    const { issuedAt, expiresAt } = membership.current.manifest;
    if (!membership.isAuthority || !isDue(issuedAt * 1000, expiresAt * 1000, clock.nowMs())) return;
    await membership.publish(() => ({}));
  }

  async function renewLeaf(): Promise<void> {
    const { notBeforeMs, notAfterMs } = membership.leaf;
    if (!isDue(notBeforeMs, notAfterMs, clock.nowMs())) return;
    const leaf = membership.checkOwnLeaf(await nextLeaf());
    await Promise.all(options.sessions().map((session) => announce(session, leaf)));
    await membership.adoptLeaf(leaf);
    renewed = true;
  }

  async function nextLeaf(): Promise<Uint8Array> {
    if (membership.isIssuer) return (await membership.issueOwnLeaf()).der;
    let refusal: FedError | undefined;
    for (const session of options.sessions()) {
      try {
        return await within(session, renewHeader, async (stream) => {
          stream.end();
          return stream.receive();
        });
      } catch (cause) {
        refusal = toFedError(cause);
      }
    }
    throw refusal ?? failed("No hub is connected that could issue a new leaf.");
  }

  /** Shows a peer the leaf that comes next. One that does not take note of it is connected to anew, with that leaf. */
  async function announce(session: Session, { der }: Leaf): Promise<void> {
    try {
      await within(session, leafHeader, async (stream) => {
        await stream.send(der, { end: true });
        return (await stream.receive()) ?? der;
      });
    } catch (cause) {
      session.close(failed("The peer did not take note of this hub's new leaf.", cause));
    }
  }

  /** What `work` gets from a stream of its own in 10 s. */
  async function within(
    session: Session,
    header: Uint8Array,
    work: (stream: Stream) => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array> {
    const stream = session.open(header, { priority: "control" });
    const timer = clock.setTimer(answerMs, () => stream.reset(failed(`Hub ${session.peer.name} did not answer.`)));
    try {
      const answer = await work(stream);
      if (!answer) throw failed(`Hub ${session.peer.name} gave no answer.`);
      return answer;
    } finally {
      timer.cancel();
    }
  }

  const renewal: Renewal = {
    async start() {
      await renewal.look();
      if (!closed) timer = clock.setTimer(lookEveryMs, tick);
    },
    look() {
      looking ??= (async () => {
        // An expired manifest takes no leaf, so it comes first; but the one must not hold up the other.
        for (const renew of closed || !membership.joined ? [] : [renewManifest, renewLeaf]) {
          await renew().catch((cause) => onError(toFedError(cause)));
        }
        looking = undefined;
      })();
      return looking;
    },
    async greet({ hubId }) {
      if (renewed) {
        const session = options.sessions().find(({ peer }) => peer.hubId === hubId);
        if (session) await announce(session, membership.leaf);
      }
      await renewal.look();
    },
    async serveLeaf({ peer }, stream) {
      try {
        const der = await stream.receive();
        if (!der) throw new HubError({ code: "REQUEST_INVALID", message: "The peer showed no leaf." });
        options.peerLeaves.note(der, peer);
        stream.end();
      } catch (cause) {
        stream.reset(toFedError(cause));
      }
    },
    async serveRenew({ peer }, stream) {
      try {
        const publicKey = options.peerLeaves.publicKeyOf(peer.hubId);
        if (!membership.isIssuer || !publicKey) throw membership.notAuthority();
        const last = issuedAtMs.get(peer.hubId);
        if (last !== undefined && clock.monotonicMs() - last < issueEveryMs) {
          throw new HubError({
            code: "RENEWAL_TOO_SOON",
            message: "This hub was given a leaf a moment ago.",
            hint: "It asks again by itself.",
            retryable: true,
          });
        }
        issuedAtMs.set(peer.hubId, clock.monotonicMs());
        const leaf = await membership.issueLeaf(peer.hubId, publicKey);
        await options.onIssued(leaf);
        await stream.send(leaf.der, { end: true });
      } catch (cause) {
        stream.reset(toFedError(cause));
      }
    },
    close() {
      closed = true;
      timer?.cancel();
    },
  };
  return renewal;
}

function failed(message: string, cause?: unknown): HubError {
  return new HubError({
    code: "RENEWAL_FAILED",
    message,
    hint: "It is tried again by itself; see `fed peers` for whether the hub that founded the cluster is reachable.",
    retryable: true,
    cause,
  });
}

/** Whether half of the time from `fromMs` to `toMs` is over. */
function isDue(fromMs: number, toMs: number, atMs: number): boolean {
  return atMs >= fromMs + (toMs - fromMs) / 2;
}
