/** A cluster with real keys and documents, its issuer on an in-memory network, and hostile ends for both sides. */
import { X509Certificate } from "node:crypto";
import {
  type Clock,
  type Connection,
  decodeBase64Url,
  encodeBase32,
  encodeBase64Url,
  encodeUtf8,
  type FedError,
  type GuestDial,
  type PeerIdentity,
  parseJson,
  randomBytes,
  type Store,
  toFedError,
} from "@fed/core";
import { createMemoryNetwork, createMemoryStore, type MemoryNetwork } from "@fed/core/memory";
import { createTestClock, readConnection, type TestClock } from "@fed/core/testing";
import {
  acceptLeaf,
  createCa,
  createCsr,
  createSigner,
  generateKeyPair,
  issueLeaf,
  type KeyPair,
  keyId,
  type Manifest,
  type SignedManifest,
  signManifest,
  spkiHash,
  verifyChain,
  verifyGenesis,
  verifyLeaf,
} from "@fed/trust";
import {
  type AcceptJoinOptions,
  acceptJoin,
  caPin,
  createTokenBook,
  formatPairingToken,
  type JoinOptions,
  type JoinRequest,
  join,
  type TokenBook,
  type TokenRecord,
  type Welcome,
} from "../src/index.js";
import { type JoinClaim, type JoinMessage, joinMessage, joinProofInput } from "../src/join-message.js";

export const address = "lan:pc1";

export function hubId(number: number): string {
  return encodeBase32(new Uint8Array(16).fill(number));
}

/** One attempt as the issuer saw it. */
export interface Attempt {
  readonly outcome: Promise<{ request: JoinRequest; token: TokenRecord } | FedError>;
  /** The text of all that the guest sent. */
  seen(): string;
}

export interface World {
  readonly clock: TestClock;
  readonly network: MemoryNetwork;
  readonly tokens: TokenBook;
  readonly pin: Uint8Array;
  readonly ca: Uint8Array;
  readonly members: string[];
  readonly attempts: Attempt[];
  /** Resolves with the next guest's attempt. */
  attempt(): Promise<Attempt>;
  invite(options?: {
    readonly ttlMs?: number;
    readonly roles?: readonly string[];
    readonly hints?: string[];
  }): Promise<{
    text: string;
    secret: string;
    id: string;
  }>;
  joinOptions(change?: Partial<JoinOptions>): JoinOptions & { readonly kept: Welcome[] };
  join(text: string, change?: Partial<JoinOptions>): Promise<string>;
  enroll(request: JoinRequest): Promise<Welcome>;
  /** Connects as a guest that follows no rule. */
  guest(): Promise<RawEnd>;
}

export interface WorldOptions {
  readonly store?: Store;
  readonly accept?: Partial<AcceptJoinOptions>;
  /** Replaces the issuer's behaviour. */
  readonly onGuest?: (connection: Connection) => void;
  readonly maxMessageBytes?: number;
  /** The certificates that the issuer shows; default its own. */
  readonly show?: (own: { leaf: Uint8Array; ca: Uint8Array }) => { leaf: Uint8Array; chain: Uint8Array[] };
  readonly network?: MemoryNetwork;
  readonly at?: string;
  readonly padding?: number;
}

export async function createWorld(options: WorldOptions = {}): Promise<World> {
  const clock = createTestClock();
  const network = options.network ?? createMemoryNetwork({ maxMessageBytes: options.maxMessageBytes ?? 65_536 });
  const tokens = createTokenBook({ store: options.store ?? createMemoryStore(), clock });
  const nowMs = clock.nowMs();
  const at = nowMs / 1000;
  const authority = createSigner(generateKeyPair().secretKey);
  const caKey = generateKeyPair();
  const own = generateKeyPair();
  const genesis: Manifest = {
    type: "fed-manifest",
    suite: "ed25519-1",
    cluster: { name: "home", salt: encodeBase64Url(randomBytes(16)) },
    version: 1,
    previous: null,
    issuedAt: at,
    expiresAt: at + 86_400,
    authority: { threshold: 1, keys: [{ kid: keyId(authority.publicKey), x: encodeBase64Url(authority.publicKey) }] },
    cas: [],
    members: [],
    relays: [],
  };
  const chain: SignedManifest[] = [signManifest(genesis, [authority])];
  const { clusterId } = verifyGenesis(chain[0]);
  const ca = await createCa({ clusterId, key: caKey, nowMs });
  const signer = createSigner(caKey.secretKey);
  const issue = (publicKey: Uint8Array, id: string) =>
    issueLeaf({ ca, caKey: signer, publicKey, clusterId, hubId: id, nowMs });
  const members: string[] = [];
  const attempts: Attempt[] = [];
  const watchers: ((attempt: Attempt) => void)[] = [];

  async function enroll(request: JoinRequest): Promise<Welcome> {
    const { manifest, hash } = verifyChain(chain, { atMs: nowMs });
    const member = {
      hubId: request.hubId,
      name: request.name,
      roles: [...request.roles],
      spki: spkiHash(request.publicKey),
      noise: encodeBase64Url(request.noiseKey),
    };
    chain.push(
      signManifest(
        {
          ...manifest,
          version: manifest.version + 1,
          previous: hash,
          cas: [{ certificate: encodeBase64Url(ca), status: "active" }],
          members: [...manifest.members, member],
        },
        [authority],
      ),
    );
    members.push(request.hubId);
    return {
      leaf: await issue(request.publicKey, request.hubId),
      manifests: [...chain],
      clusterKey: new Uint8Array(32).fill(7),
      revocations: options.padding === undefined ? null : { padding: "x".repeat(options.padding) },
    };
  }

  function speak(connection: Connection): void {
    const seen: string[] = [];
    const start = connection.start.bind(connection);
    // Listens in on what arrives, to assert on what was never sent.
    connection.start = ({ message, closed }) =>
      start({
        closed,
        message(bytes) {
          seen.push(new TextDecoder().decode(bytes));
          message(bytes);
        },
      });
    const outcome = acceptJoin(connection, {
      tokens,
      pins: [caPin(ca)],
      admit() {},
      enroll,
      clock,
      ...options.accept,
    }).catch(toFedError);
    const attempt = { outcome, seen: () => seen.join("\n") };
    attempts.push(attempt);
    for (const watcher of watchers.splice(0)) watcher(attempt);
  }

  const leaf = await issue(own.publicKey, hubId(1));
  const shown = options.show?.({ leaf, ca }) ?? { leaf, chain: [ca] };
  const place = options.at ?? "pc1";
  const transport = network.transport({ identity: identity(clusterId), name: "lan", address: place, ...shown });
  await transport.listen({ connection() {}, guest: options.onGuest ?? speak });

  const world: World = {
    clock,
    network,
    tokens,
    ca,
    pin: caPin(ca),
    members,
    attempts,
    enroll,
    attempt: () => new Promise((resolve) => watchers.push(resolve)),
    async invite({ ttlMs = 600_000, roles = ["worker"], hints = [`lan:${place}`] } = {}) {
      const { secret, record } = await tokens.issue({ ttlMs, roles });
      return { text: formatPairingToken({ secret, pin: caPin(ca), hints }), secret, id: record.id };
    },
    joinOptions(change = {}) {
      const key = generateKeyPair();
      const kept: Welcome[] = [];
      return {
        dials: { lan: network.guestDial },
        hubId: encodeBase32(randomBytes(16)),
        name: "pc2",
        key,
        noiseKey: randomBytes(32),
        clock,
        verifyIssuer,
        async accept(welcome, pin) {
          const verified = verifyChain(welcome.manifests, { atMs: clock.nowMs() });
          const pins = verified.manifest.cas.map((one) => caPin(decodeBase64Url(one.certificate)).join());
          if (!pins.includes(pin.join())) throw new Error("The manifest does not name the pinned CA.");
          acceptLeaf(welcome.leaf, verified, { atMs: clock.nowMs() });
          kept.push(welcome);
        },
        kept,
        ...change,
      };
    },
    join: (text, change) => join(text, world.joinOptions(change)),
    guest: async () => rawEnd(await network.guestDial(`lan:${place}`, { authenticateResponder() {} })),
  };
  return world;

  function verifyIssuer(shownLeaf: Uint8Array, shownCa: Uint8Array): void {
    const names = new X509Certificate(shownLeaf).subjectAltName ?? "";
    const [, claimed = ""] = /URI:spiffe:\/\/([a-z2-7]{52})\/hub\//.exec(names) ?? [];
    verifyLeaf(shownLeaf, { cas: [shownCa], clusterId: claimed, atMs: clock.nowMs() });
  }
}

/** One end of a connection, driven by hand. */
export interface RawEnd {
  readonly connection: Connection;
  readonly closed: Promise<FedError | undefined>;
  send(message: object): void;
  sendBytes(bytes: Uint8Array): void;
  receive(): Promise<JoinMessage>;
  receiveBytes(): Promise<Uint8Array>;
}

export function rawEnd(connection: Connection): RawEnd {
  const reader = readConnection(connection);
  const receiveBytes = () => reader.next();
  return {
    connection,
    closed: reader.closed,
    receiveBytes,
    receive: async () => parseJson(await receiveBytes(), { maxBytes: 65_536 }) as JoinMessage,
    send: (message) => void connection.send(encodeUtf8(JSON.stringify(message))),
    sendBytes: (bytes) => void connection.send(bytes),
  };
}

/** A claim with the key behind it. */
export interface TestClaim extends JoinClaim {
  readonly key: KeyPair;
}

export async function claimOf(secret: string, pin: Uint8Array, change: Partial<JoinClaim> = {}): Promise<TestClaim> {
  const key = generateKeyPair();
  return {
    key,
    secret,
    pin,
    hubId: hubId(2),
    name: "pc2",
    csr: await createCsr({ key }),
    noiseKey: new Uint8Array(32).fill(9),
    ...change,
  };
}

/** A good join message for `nonce`. */
export function signedJoin(claim: TestClaim, nonce: Uint8Array): JoinMessage {
  return joinMessage(claim, createSigner(claim.key.secretKey).sign(joinProofInput(nonce, claim)));
}

/** A clock that knows how many of its timers are pending. */
export function countingClock(clock: Clock = createTestClock()): Clock & { pending(): number } {
  const timers = new Set<symbol>();
  return {
    nowMs: clock.nowMs,
    monotonicMs: clock.monotonicMs,
    pending: () => timers.size,
    setTimer(delayMs, callback) {
      const id = Symbol("timer");
      timers.add(id);
      const timer = clock.setTimer(delayMs, callback);
      return {
        cancel() {
          timers.delete(id);
          timer.cancel();
        },
      };
    },
  };
}

/** A dial that notes whom it dialled. */
export function recording(dial: GuestDial, dialled: string[]): GuestDial {
  return (to, options) => {
    dialled.push(to);
    return dial(to, options);
  };
}

function identity(clusterId: string): PeerIdentity {
  return { hubId: hubId(1), clusterId, name: "pc1", thumbprint: "", serial: "", spki: "" };
}
