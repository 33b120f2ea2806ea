/** Three hubs with fixed keys and a fixed time, and the means to forge what they would never sign. */
import { encodeBase32, encodeBase64Url, encodeUtf8, type PeerIdentity } from "@fed/core";
import {
  createReplayGuard,
  createSigner,
  type Envelope,
  type EnvelopeContext,
  hopType,
  keyId,
  originType,
  type Signer,
  sha256,
  signHop,
  signOrigin,
  spkiHash,
} from "../src/index.js";

export interface TestHub {
  readonly name: string;
  readonly hubId: string;
  readonly secretKey: Uint8Array;
  readonly signer: Signer;
  readonly thumbprint: string;
}

function testHub(name: string): TestHub {
  const secretKey = sha256(encodeUtf8(`secret key of ${name}`));
  return {
    name,
    hubId: encodeBase32(sha256(encodeUtf8(`hub id of ${name}`)).slice(0, 16)),
    secretKey,
    signer: createSigner(secretKey),
    thumbprint: encodeBase64Url(sha256(encodeUtf8(`leaf of ${name}`))),
  };
}

export const alpha: TestHub = testHub("alpha");
export const bravo: TestHub = testHub("bravo");
export const charlie: TestHub = testHub("charlie");
export const delta: TestHub = testHub("delta");
export const hubs: readonly TestHub[] = [alpha, bravo, charlie, delta];

export const nowMs = 1_800_000_000_000;
export const clusterId: string = encodeBase32(sha256(encodeUtf8("genesis")));
export const alice = `alice@${alpha.hubId}`;
export const body = '{"method":"tools/call","params":{"name":"search","arguments":{"q":"invoices"}}}';
export const bodyDigest: Uint8Array = sha256(encodeUtf8(body));
export const scope: readonly string[] = ["apps:list", "apps:call"];
export const roles: readonly string[] = ["ops"];

/** 16 bytes as base64url that stand for `name` (a jti, a txn, an epoch). */
export function id(name: string): string {
  return encodeBase64Url(sha256(encodeUtf8(name)).slice(0, 16));
}

/** The boot nonce of a hub. */
export function epochOf(hub: TestHub): string {
  return id(`epoch of ${hub.name}`);
}

export function peerOf(hub: TestHub): PeerIdentity {
  return {
    hubId: hub.hubId,
    clusterId,
    name: hub.name,
    thumbprint: hub.thumbprint,
    serial: "01",
    spki: spkiHash(hub.signer.publicKey),
  };
}

/** Alice's home hub vouches for her. */
export function origin(changes: Partial<Parameters<typeof signOrigin>[1]> = {}, signer = alpha.signer): string {
  return signOrigin(signer, {
    homeHub: alpha.hubId,
    operator: alice,
    audience: clusterId,
    scope,
    roles,
    txn: id("txn"),
    nowMs,
    ...changes,
  });
}

/** `from` forwards to `to`. */
export function hop(
  from: TestHub,
  to: TestHub,
  changes: Partial<Parameters<typeof signHop>[1]> = {},
  signer = from.signer,
): string {
  return signHop(signer, {
    from: from.hubId,
    to: to.hubId,
    origin: origin(),
    bodyDigest,
    thumbprint: from.thumbprint,
    epoch: epochOf(to),
    hop: 1,
    scope,
    jti: id(`${from.name} to ${to.name}`),
    nowMs,
    ...changes,
  });
}

/** Alice's call along `path`, each hub passing it to the next. */
export function envelopeAlong(
  path: readonly TestHub[],
  changes: Partial<Parameters<typeof signHop>[1]> = {},
): Envelope {
  const hops: string[] = [];
  for (let i = 0; i + 1 < path.length; i++) {
    hops.push(hop(path[i]!, path[i + 1]!, { hop: i + 1, previousHop: hops.at(-1), ...changes }));
  }
  const via = hops.slice(0, -1);
  return { origin: origin(), hop: hops.at(-1)!, ...(via.length > 0 && { via }) };
}

/** A token over any header and payload text, base64url and signature done right. */
export function forge(header: string, payload: string, signer: Signer): string {
  const input = `${encodeBase64Url(encodeUtf8(header))}.${encodeBase64Url(encodeUtf8(payload))}`;
  return `${input}.${encodeBase64Url(signer.sign(encodeUtf8(input)))}`;
}

/** The header a signer really writes. */
export function headerOf(signer: Signer, typ: string): Record<string, unknown> {
  return { alg: "Ed25519", typ, kid: keyId(signer.publicKey) };
}

/** `token` with claims changed or (undefined) removed, signed anew. */
export function reclaim(token: string, changes: Record<string, unknown>, signer = alpha.signer): string {
  const [header, payload] = partsOf(token);
  return forge(JSON.stringify(header), JSON.stringify({ ...payload, ...changes }), signer);
}

/** Header and payload of a token. */
export function partsOf(token: string): [Record<string, unknown>, Record<string, unknown>] {
  const [header, payload] = token.split(".").map((part) => Buffer.from(part, "base64url").toString());
  return [JSON.parse(header!), JSON.parse(payload!)];
}

/** Bravo's view, connected to `sender`, with everybody a member. */
export function contextOf(sender: TestHub = alpha, changes: Partial<EnvelopeContext> = {}): EnvelopeContext {
  const keys = new Map(hubs.map((hub) => [hub.hubId, hub.signer.publicKey]));
  return {
    self: bravo.hubId,
    epoch: epochOf(bravo),
    peer: peerOf(sender),
    audience: clusterId,
    bodyDigest,
    atMs: nowMs + 1000,
    publicKeyOf: (hubId) => keys.get(hubId),
    replay: createReplayGuard(),
    ...changes,
  };
}

export { hopType, originType };
