/** Hubs with routers over in-memory networks: real paths, real streams, a fake clock, and ports that keep their contracts. */
import { createHash } from "node:crypto";
import {
  encodeBase64Url,
  encodeUtf8,
  equalBytes,
  FedError,
  type HubId,
  type PeerIdentity,
  randomBytes,
  type Transport,
} from "@fed/core";
import { createMemoryNetwork, type MemoryNetwork } from "@fed/core/memory";
import { createTestClock, type TestClock } from "@fed/core/testing";
import { createSessions, encodeGreeting } from "@fed/session";
import {
  type AppContext,
  type AppRequest,
  type AuditRecord,
  type Caller,
  createRouter,
  type Envelope,
  type EnvelopeSigner,
  type EnvelopeVerifier,
  type LocalApp,
  type Risk,
  type Router,
  type RouterOptions,
  type SharingRequest,
  type ToolDefinition,
} from "../src/index.js";

export class TestError extends FedError {}

export const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest();

export function identityOf(name: string): PeerIdentity {
  const hubId = name.padEnd(26, "a");
  return { hubId, clusterId: "c".repeat(52), name, thumbprint: `x5t-${name}`, serial: "01", spki: `spki-${name}` };
}

/** What an app of the fleet does with a call. */
export type AppBehaviour = (request: AppRequest, context: AppContext) => unknown;

export interface Hub {
  readonly identity: PeerIdentity;
  readonly router: Router;
  readonly apps: Map<string, AppBehaviour>;
  readonly statuses: Map<string, LocalApp["status"]>;
  readonly records: AuditRecord[];
  readonly signed: Envelope[];
  readonly caller: Caller;
  readonly events: string[];
  /** Asked of every decision. Default: local callers, and everybody for apps in `shared`. */
  decide: (request: SharingRequest) => { allow: boolean; rule: string; reason: string };
  readonly shared: Set<string>;
  readonly revoked: Set<string>;
  revocationSize: number;
  auditFails: boolean | "outcome";
  /** The owner's rating of its tools. */
  readonly risks: Map<string, Risk>;
  /** Said of every app. */
  texts: { readonly title?: string; readonly description?: string };
  /** By app; of others the tools are not known. */
  readonly tools: Map<string, readonly ToolDefinition[]>;
}

export interface Fleet {
  readonly clock: TestClock;
  readonly lan: MemoryNetwork;
  readonly relay: MemoryNetwork;
  hub(name: string, options?: HubOptions): Hub;
  /** Breaks every connection between two hubs. */
  drop(a: Hub, b: Hub): void;
  /** Lets everything that is due now happen, until `condition` holds. */
  until(condition: () => boolean, stepMs?: number): Promise<void>;
  close(): Promise<void>;
}

export interface HubOptions extends Partial<RouterOptions> {
  readonly networks?: readonly ("lan" | "relay")[];
  readonly epoch?: Uint8Array;
  /** How long a session outlives its last connection. Default 60 s. */
  readonly resumeWindowMs?: number;
}

export function createFleet(clock: TestClock = createTestClock()): Fleet {
  const lan = createMemoryNetwork({ clock });
  const relay = createMemoryNetwork({ clock });
  const hubs: Hub[] = [];

  function hub(
    name: string,
    { networks = ["lan"], epoch = randomBytes(16), resumeWindowMs = 60_000, ...overrides }: HubOptions = {},
  ): Hub {
    const identity = identityOf(name);
    const transports: Transport[] = networks.map((network) =>
      network === "lan"
        ? lan.transport({ identity, name: "lan", preference: 10, greeting: encodeGreeting(epoch) })
        : relay.transport({ identity, name: "relay", preference: 50 }),
    );
    const operator = `op@${name}`;
    const made: Hub = {
      identity,
      apps: new Map(),
      statuses: new Map(),
      records: [],
      signed: [],
      events: [],
      shared: new Set(),
      revoked: new Set(),
      risks: new Map(),
      tools: new Map(),
      texts: {},
      revocationSize: 0,
      auditFails: false,
      caller: {
        operator,
        homeHub: identity.hubId,
        roles: ["member"],
        scope: ["*"],
        local: true,
        hubs: [identity.hubId],
      },
      decide: ({ app, caller }) =>
        caller.local || made.shared.has(app)
          ? { allow: true, rule: caller.local ? "local" : `${app}: cluster`, reason: "shared" }
          : { allow: false, rule: "default-deny", reason: "nothing allows it" },
      router: undefined as unknown as Router,
    };
    const router = createRouter({
      self: identity,
      transports,
      sessions: createSessions({ epoch, clock, resumeWindowMs }),
      signer: testSigner(identity, made.signed),
      verifier: testVerifier(identity, encodeBase64Url(epoch)),
      digest: sha256,
      revocation: {
        assertCaller(caller, peer) {
          for (const id of [caller.operator, ...caller.hubs, peer?.hubId ?? ""]) {
            if (made.revoked.has(id)) throw new TestError({ code: "REVOKED", message: "Revoked." });
          }
        },
        get size() {
          return made.revocationSize;
        },
      },
      policy: { decide: (request) => made.decide(request) },
      audit: {
        async append(record) {
          if (made.auditFails === true || (made.auditFails === "outcome" && record.type === "call.outcome")) {
            throw new TestError({ code: "STORE_FULL", message: "Full." });
          }
          made.records.push(record);
        },
      },
      apps: {
        list: () =>
          [...made.apps.keys()].map((app) => ({
            app,
            title: `The ${app}`,
            ...made.texts,
            status: made.statuses.get(app) ?? "ready",
          })),
        async call(app, request, context) {
          const behaviour = made.apps.get(app);
          if (!behaviour) throw new TestError({ code: "APP_UNKNOWN", message: "No such app." });
          return behaviour(request, context);
        },
        tools: (app) => made.tools.get(app),
        hints: (_app, tool) => ({ risk: made.risks.get(tool) }),
      },
      clock,
      random: () => 0.5,
      onPeerUp: (peer) => made.events.push(`up ${peer.name}`),
      onPeerDown: (peer) => made.events.push(`down ${peer.name}`),
      ...overrides,
    });
    Object.assign(made, { router });
    hubs.push(made);
    return made;
  }

  return {
    clock,
    lan,
    relay,
    hub,
    drop({ identity: a }, { identity: b }) {
      const error = new TestError({ code: "CLOSED", message: "The cable is gone." });
      for (const network of [lan, relay]) network.drop(a.hubId, b.hubId, error);
    },
    async until(condition, stepMs = 0) {
      for (let turn = 0; turn < 300; turn++) {
        if (condition()) return;
        await clock.advance(stepMs);
      }
      throw new TestError({ code: "NEVER", message: `This never came true: ${condition}` });
    },
    async close() {
      await Promise.all(hubs.map(({ router }) => router.close()));
    },
  };
}

/** The state of each way from `hub` to `other`. */
export function states(hub: Hub, other: Hub): string[] {
  return hub.router
    .paths(other.identity.hubId)
    .map(({ transport, state, best }) => `${transport} ${state}${best ? " best" : ""}`);
}

/** Starts them as members of one cluster, who find each other. */
export async function start(...hubs: Hub[]): Promise<void> {
  await Promise.all(hubs.map(({ router }) => router.start()));
  const members = hubs.map(({ identity }) => ({ ...identity, addresses: [] }));
  for (const { router } of hubs) router.setMembers(members);
}

/** Until two hubs with LAN and relay use the LAN, and the relay stands by. */
export async function settled(fleet: Fleet, a: Hub, b: Hub): Promise<void> {
  const wanted = ["lan confirmed best", "relay confirmed"];
  await fleet.until(() => String(states(a, b)) === String(wanted) && String(states(b, a)) === String(wanted), 500);
}

function testSigner(self: PeerIdentity, signed: Envelope[]): EnvelopeSigner {
  return {
    sign({ caller, to, epoch, bodyDigest, incoming }) {
      const { local: _local, hubs: _hubs, ...origin } = caller;
      const hop = {
        iss: self.hubId,
        aud: to,
        epoch,
        cdg: encodeBase64Url(bodyDigest),
        jti: encodeBase64Url(randomBytes(16)),
      };
      const envelope = {
        origin: incoming?.origin ?? encodeBase64Url(encodeUtf8(JSON.stringify(origin))),
        hop: JSON.stringify(hop),
        ...(incoming ? { via: [...(incoming.via ?? []), incoming.hop] } : {}),
      };
      signed.push(envelope);
      return envelope;
    },
  };
}

function testVerifier(self: PeerIdentity, epoch: string): EnvelopeVerifier {
  const seen = new Set<string>();
  return {
    verify(envelope, { peer, bodyDigest }) {
      const hop = JSON.parse(envelope.hop);
      const origin = JSON.parse(Buffer.from(envelope.origin, "base64url").toString());
      const refuse = (code: string) => new TestError({ code, message: "The envelope does not verify." });
      if (hop.iss !== peer.hubId) throw refuse("WRONG_SENDER");
      if (hop.aud !== self.hubId) throw refuse("WRONG_AUDIENCE");
      if (hop.epoch !== epoch) throw refuse("WRONG_EPOCH");
      if (!equalBytes(Buffer.from(hop.cdg, "base64url"), bodyDigest)) throw refuse("BODY_MISMATCH");
      if (seen.has(hop.jti)) throw refuse("REPLAYED");
      seen.add(hop.jti);
      const hubs: HubId[] = [...new Set<HubId>([origin.homeHub, peer.hubId])];
      return { ...origin, local: false, hubs };
    },
  };
}
