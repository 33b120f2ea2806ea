/** Connections and sessions for the tests: real ones over the memory network, and a raw end that speaks frames by hand. */
import {
  type Clock,
  type Connection,
  encodeBase32,
  type PeerIdentity,
  type Session,
  type SessionHandler,
} from "@fed/core";
import { createMemoryNetwork, type MemoryNetworkOptions } from "@fed/core/memory";
import { encodeCountFrame, FRAME_ACK, FRAME_RESUME, FrameReader, LAST_SEQUENCED_TYPE } from "../src/frame.js";
import { createSession, type SessionLimits } from "../src/index.js";
import { resolveLimits } from "../src/limits.js";
import { encodeResume, type Resume } from "../src/resume.js";

export const alice = identity(1, "alice");
export const bob = identity(2, "bob");
export const noStreams: SessionHandler = {
  stream(stream) {
    stream.end();
  },
};

export function epochOf(byte: number): Uint8Array {
  return new Uint8Array(16).fill(byte);
}

function identity(byte: number, name: string): PeerIdentity {
  const text = encodeBase32(new Uint8Array(16).fill(byte));
  return { hubId: text, clusterId: "c", name, thumbprint: `t-${name}`, serial: "01", spki: `s-${name}` };
}

/** Alice's end (initiator) and bob's. */
export async function connectionPair(options: MemoryNetworkOptions = {}): Promise<[Connection, Connection]> {
  const network = createMemoryNetwork(options);
  const accepted = Promise.withResolvers<Connection>();
  await network.transport({ identity: bob }).listen({ connection: accepted.resolve });
  const dialled = await network.transport({ identity: alice }).dial(bob.hubId);
  return [dialled, await accepted.promise];
}

export interface PairOptions extends MemoryNetworkOptions {
  readonly initiator?: SessionHandler;
  readonly responder?: SessionHandler;
  readonly limits?: Partial<SessionLimits>;
  readonly sessionClock?: Clock;
}

/** Two sessions that talk to each other. */
export async function sessionPair(options: PairOptions = {}): Promise<[Session, Session]> {
  const [near, far] = await connectionPair(options);
  const { initiator = noStreams, responder = noStreams, limits = {} } = options;
  const clock = options.sessionClock ? { clock: options.sessionClock } : {};
  return Promise.all([
    createSession(near, { epoch: epochOf(1), handler: initiator, limits, ...clock }),
    createSession(far, { epoch: epochOf(2), handler: responder, limits, ...clock }),
  ]);
}

/** What the raw end begins with, unless told otherwise: as epoch 1, which makes it the session's initiator. */
export function resumeFrame(resume: Partial<Resume> = {}): Uint8Array {
  const whole = {
    epoch: epochOf(1),
    peerEpoch: new Uint8Array(16),
    generation: 0,
    received: 0,
    early: false,
    limits: resolveLimits(),
    ...resume,
  };
  return encodeResume(whole);
}

/** One frame as the raw end saw it. */
export interface SeenFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly body: Uint8Array;
}

/** The initiator's end of a session over one connection, driven by hand. */
export interface RawPeer {
  readonly session: Session;
  readonly connection: Connection;
  /** All frames the session has sent after its RESUME. */
  readonly frames: SeenFrame[];
  send(...frames: Uint8Array[]): void;
  /** Acknowledges all that it has seen. */
  acknowledge(): void;
  /** Resolves with the first frame of `type` not returned before. */
  next(type: number): Promise<SeenFrame>;
}

/** A session (responder) whose peer is a {@link RawPeer}. */
export async function rawPeer(
  options: { handler?: SessionHandler; limits?: Partial<SessionLimits>; clock?: Clock; resume?: Partial<Resume> } = {},
): Promise<RawPeer> {
  const [connection, far] = await connectionPair();
  const frames: SeenFrame[] = [];
  const taken = new Set<SeenFrame>();
  const waiting = new Set<() => void>();
  const reader = new FrameReader();
  connection.start({
    message(bytes) {
      reader.load(bytes);
      while (reader.next()) {
        if (reader.type === FRAME_RESUME) continue;
        frames.push({ type: reader.type, flags: reader.flags, stream: reader.stream, body: reader.body() });
      }
      for (const wake of waiting) wake();
    },
    closed() {},
  });
  connection.send(resumeFrame(options.resume));
  const session = await createSession(far, {
    epoch: epochOf(2),
    handler: options.handler ?? noStreams,
    limits: options.limits ?? {},
    ...(options.clock ? { clock: options.clock } : {}),
  });
  return {
    session,
    connection,
    frames,
    send(...parts) {
      const length = parts.reduce((sum, part) => sum + part.length, 0);
      const message = new Uint8Array(length);
      let at = 0;
      for (const part of parts) {
        message.set(part, at);
        at += part.length;
      }
      connection.send(message);
    },
    acknowledge() {
      const sequenced = frames.filter(({ type }) => type <= LAST_SEQUENCED_TYPE);
      connection.send(encodeCountFrame(FRAME_ACK, sequenced.length));
    },
    async next(type) {
      for (;;) {
        const found = frames.find((frame) => frame.type === type && !taken.has(frame));
        if (found) {
          taken.add(found);
          return found;
        }
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
    },
  };
}
