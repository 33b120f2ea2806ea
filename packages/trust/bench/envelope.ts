/** Envelopes per second on one core, beside what the signature alone costs. Run: `node --expose-gc bench/envelope.ts` after a build. */
import {
  createEnvelopeSigner,
  createOriginCache,
  createReplayGuard,
  createSigner,
  type Envelope,
  keyPairFromSecret,
  sha256,
  spkiHash,
  verifyEnvelope,
  verifySignature,
} from "@fed/trust";

fillReplayGuard();

const rounds = 10_000;
const { secretKey, publicKey } = keyPairFromSecret(new Uint8Array(32).fill(1));
const signer = createSigner(secretKey);
const [self, sender] = ["pcb", "pca"].map((name) => name.padEnd(26, "a")) as [string, string];
const audience = "fleet".padEnd(52, "a");
const thumbprint = "A".repeat(43);
const epoch = "A".repeat(22);
const bodyDigest = sha256(new Uint8Array(100));

const { sign } = createEnvelopeSigner({ signer, hubId: sender, thumbprint: () => thumbprint, audience });
const request = { operator: `alice@${sender}`, roles: ["ops"], scope: ["apps:call"], to: self, epoch, bodyDigest };
const peer = { hubId: sender, clusterId: audience, name: "pca", thumbprint, serial: "01", spki: spkiHash(publicKey) };
const message = new Uint8Array(600);
const signature = signer.sign(message);

for (const counted of [false, true]) {
  const envelopes: Envelope[] = [];
  report("Ed25519 signature", () => signer.sign(message));
  report("envelope signed, origin assertion reused", () => envelopes.push(sign(request)));
  report("Ed25519 verification", () => verifySignature(publicKey, message, signature));
  const known = { self, epoch, peer, audience, bodyDigest, publicKeyOf: () => publicKey };
  const cached = { ...known, replay: createReplayGuard(), origins: createOriginCache(), atMs: Date.now() };
  report("envelope verified, origin assertion known", (i) => verifyEnvelope(envelopes[i]!, cached));
  const plain = { ...known, replay: createReplayGuard(), atMs: Date.now() };
  report("envelope verified, both signatures", (i) => verifyEnvelope(envelopes[i]!, plain));

  function report(what: string, run: (i: number) => unknown): void {
    const startMs = performance.now();
    for (let i = 0; i < rounds; i++) run(i);
    const perSecond = Math.round((rounds / (performance.now() - startMs)) * 1000);
    if (counted) console.log(`${perSecond.toLocaleString("en").padStart(8)}/s  ${what}`);
  }
}

/** 200,000 proofs spread over the time one core needs to verify them. Apart, so that what it makes is garbage after it. */
function fillReplayGuard(): void {
  const proofs = 200_000;
  const nowMs = Date.now();
  const heapBefore = heapBytes();
  const guard = createReplayGuard();
  const startMs = performance.now();
  for (let i = 0; i < proofs; i++) {
    const atMs = nowMs + i / 4;
    const id = Buffer.alloc(16);
    id.writeUInt32BE(i);
    guard.admit("issuer", id.toString("base64url"), atMs + 65_000, atMs);
  }
  const perProofNs = ((performance.now() - startMs) / proofs) * 1e6;
  const perProofBytes = (heapBytes() - heapBefore) / guard.size;
  console.log(`${Math.round(perProofNs)} ns and ${Math.round(perProofBytes)} bytes per proof in the replay guard`);
}

function heapBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}
