/** Alice's hub pc1 calls a tool on pc2: the envelope verifies once, for that body, over that connection, and never else. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import {
  createCa,
  createEnvelopeSigner,
  createReplayGuard,
  createSigner,
  type Envelope,
  type EnvelopeContext,
  type EnvelopeSigner,
  generateKeyPair,
  issueLeaf,
  type Leaf,
  type Signer,
  TrustError,
  verifyEnvelope,
  verifyLeaf,
} from "@fed/trust";

// A cluster with one CA and three hubs. A real one takes its id from its genesis manifest and hub ids at random.
const nowMs = Date.now();
const clusterId = "fleet".padEnd(52, "a");
const caKey = generateKeyPair();
const ca = await createCa({ clusterId, key: caKey, nowMs });
const pc1 = await createHub("pca");
const pc2 = await createHub("pcb");
const pc3 = await createHub("pcc");
const keys = new Map([pc1, pc2, pc3].map(({ leaf }) => [leaf.hubId, leaf.publicKey]));

// pc1 signs: who asks, with which rights, to whom, and for which bytes.
const alice = `alice@${pc1.leaf.hubId}`;
const epoch = randomBytes(16).toString("base64url"); // pc2 made it at its last start and told pc1 on connecting
const body = '{"method":"tools/call","params":{"name":"search","arguments":{"q":"invoices"}}}';
const call = {
  operator: alice,
  roles: ["ops"],
  scope: ["apps:call"],
  to: pc2.leaf.hubId,
  epoch,
  bodyDigest: sha256(body),
};
const envelope = signerOf(pc1).sign(call);

// pc2 verifies, before anything happens.
const replay = createReplayGuard();
const verified = verifyEnvelope(envelope, contextOf(pc1.leaf));
assert.equal(verified.operator, alice);
assert.deepEqual(verified.scope, ["apps:call"]);
console.log(`accepted  ${verified.operator} with roles ${verified.roles} and scope ${verified.scope}`);

refused("copied", "REPLAYED", envelope, contextOf(pc1.leaf));
refused("for another body", "BODY_MISMATCH", envelope, contextOf(pc1.leaf, { bodyDigest: sha256("rm -rf /") }));
refused("stolen by pc3", "WRONG_SENDER", envelope, contextOf(pc3.leaf));
refused("sent on to pc3", "WRONG_AUDIENCE", envelope, contextOf(pc1.leaf, { self: pc3.leaf.hubId }));
refused("from before a restart", "WRONG_EPOCH", envelope, contextOf(pc1.leaf, { epoch: "A".repeat(22) }));
refused("a minute later", "ENVELOPE_EXPIRED", envelope, contextOf(pc1.leaf, { atMs: nowMs + 70_000 }));

// pc3 acts as if pc1 had sent it a call of alice's: the key that speaks for her is not its own.
const invented = signerOf({ ...pc1, signer: pc3.signer }).sign({ ...call, to: pc3.leaf.hubId });
const passedOn = signerOf(pc3).sign({ ...call, incoming: invented });
refused("invented by pc3", "BAD_SIGNATURE", passedOn, contextOf(pc3.leaf));

interface Hub {
  readonly leaf: Leaf;
  readonly signer: Signer;
}

async function createHub(name: string): Promise<Hub> {
  const { secretKey, publicKey } = generateKeyPair();
  const hubId = name.padEnd(26, "a");
  const der = await issueLeaf({ ca, caKey: createSigner(caKey.secretKey), publicKey, clusterId, hubId, nowMs });
  return { leaf: verifyLeaf(der, { cas: [ca], clusterId, atMs: nowMs }), signer: createSigner(secretKey) };
}

/** What pc2 knows: itself, the body it received, who is a member, and by which leaf the sender is connected. */
function contextOf({ hubId, thumbprint, serial, spki }: Leaf, changes: Partial<EnvelopeContext> = {}): EnvelopeContext {
  return {
    self: pc2.leaf.hubId,
    epoch,
    peer: { hubId, clusterId, name: hubId.slice(0, 3), thumbprint, serial, spki },
    audience: clusterId,
    bodyDigest: sha256(body),
    atMs: Date.now(),
    publicKeyOf: (id) => keys.get(id),
    replay,
    ...changes,
  };
}

function signerOf({ leaf, signer }: Hub): EnvelopeSigner {
  return createEnvelopeSigner({ signer, hubId: leaf.hubId, thumbprint: () => leaf.thumbprint, audience: clusterId });
}

function refused(what: string, code: string, presented: Envelope, context: EnvelopeContext): void {
  assert.throws(
    () => verifyEnvelope(presented, context),
    (error) => error instanceof TrustError && error.code === code,
    `${what}: expected ${code}`,
  );
  console.log(`refused   ${what}: ${code}`);
}

function sha256(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
}
