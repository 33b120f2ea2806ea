/** Those who should not get in: a hub of another cluster, and somebody who sends a copied envelope. */
import { createHash, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  decodeUtf8,
  encodeUtf8,
  type PeerAuthenticator,
  type PeerIdentity,
  type Session,
  type Stream,
} from "@fed/core";
import { createSession } from "@fed/session";
import { createLanTransport, type LanTransport } from "@fed/transport-lan";
import {
  createEnvelopeSigner,
  createSigner,
  decodePem,
  encodePrivateKeyPem,
  formatPrincipal,
  type Leaf,
  verifyLeaf,
} from "@fed/trust";
import { fed } from "./fed.ts";

/** A hub's own credentials, read from its state directory: this is what somebody has who took over the machine. */
interface Credentials {
  readonly leaf: Leaf;
  readonly ca: Uint8Array;
  readonly secretKey: Uint8Array;
}

async function credentialsOf(dir: string): Promise<Credentials> {
  const folder = join(dir, "public");
  await fed(dir, "cluster", "export", folder);
  const { clusterId } = await fed<{ clusterId: string }>(dir, "cluster", "status");
  const ca = decodePem(readFileSync(join(folder, "ca.pem"), "utf8"), "CERTIFICATE");
  const der = decodePem(readFileSync(join(folder, "leaf.pem"), "utf8"), "CERTIFICATE");
  return {
    ca,
    leaf: verifyLeaf(der, { cas: [ca], clusterId, atMs: Date.now() }),
    secretKey: readFileSync(join(dir, "keys/leaf")),
  };
}

/** Takes any hub for what it says it is: an intruder does not care whom it talks to. */
const credulous: PeerAuthenticator = {
  authenticate: (evidence): PeerIdentity => ({
    hubId: createHash("sha256").update(evidence.leaf).digest("hex"),
    clusterId: "",
    name: "anybody",
    thumbprint: createHash("sha256").update(evidence.leaf).digest("base64url"),
    serial: "",
    spki: "",
  }),
};

function transportOf({ leaf, ca, secretKey }: Credentials, alsoTrusted: readonly Uint8Array[] = []): LanTransport {
  return createLanTransport({
    self: leaf.hubId,
    authenticator: credulous,
    credentials: () => ({
      leaf: leaf.der,
      caCertificates: [ca, ...alsoTrusted],
      privateKeyPem: encodePrivateKeyPem(secretKey),
    }),
  });
}

/**
 * Dials the hub of `host` at `address` with the leaf of the hub in `dir`, which belongs to another cluster.
 * @returns the code of the refusal, or `let in`, and how long it took.
 */
export async function knock(dir: string, host: string, address: string): Promise<[verdict: string, ms: number]> {
  // It trusts the host's CA, which is public, so that it is the host who refuses and not the intruder.
  const { ca } = await credentialsOf(host);
  const intruder = transportOf(await credentialsOf(dir), [ca]);
  const startedAt = performance.now();
  const verdict = await beginSession(intruder, address).then(
    (session) => {
      session.close();
      return "let in";
    },
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
  return [verdict, performance.now() - startedAt];
}

/**
 * Calls an app of the hub at `address` as the member in `dir`, then sends the very same envelope a second time.
 * @returns what either attempt was answered with: `result`, or the code of the refusal.
 */
export async function sendTwice(
  dir: string,
  address: string,
  target: { readonly hubId: string; readonly app: string; readonly tool: string; readonly arguments: object },
): Promise<{ readonly first: string; readonly second: string; readonly ms: number }> {
  const mine = await credentialsOf(dir);
  const session = await beginSession(transportOf(mine), address);
  const body = encodeUtf8(
    JSON.stringify({ method: "tools/call", params: { name: target.tool, arguments: target.arguments } }),
  );
  const signer = createEnvelopeSigner({
    signer: createSigner(mine.secretKey),
    hubId: mine.leaf.hubId,
    thumbprint: () => mine.leaf.thumbprint,
    audience: mine.leaf.clusterId,
  });
  const envelope = signer.sign({
    operator: formatPrincipal({ name: "probe", hubId: mine.leaf.hubId }),
    roles: [],
    scope: ["apps.list", "apps.call"],
    to: target.hubId,
    epoch: session.peerEpoch,
    bodyDigest: digestOf(target.app, body),
  });
  const header = { k: "call", v: 1, app: target.app, id: randomBytes(16).toString("base64url"), env: envelope };
  const first = await send(session, header, body);
  const startedAt = performance.now();
  const second = await send(session, header, body);
  const ms = performance.now() - startedAt;
  session.close();
  return { first, second, ms };
}

/** A session with the hub at `address`, once it has accepted. */
async function beginSession(transport: LanTransport, address: string): Promise<Session> {
  return createSession(await transport.dial(address), {
    epoch: randomBytes(16),
    handler: { stream: (stream) => void echo(stream).catch(() => {}) },
  });
}

/** What a hop proof signs over a call, docs/spec/call.md. */
function digestOf(app: string, body: Uint8Array): Uint8Array {
  return createHash("sha256").update(`fed-call/1\n${app}\n\n`).update(body).digest();
}

/** Answers the probes with which the other side makes sure of the path. */
async function echo(stream: Stream): Promise<void> {
  for (let message = await stream.receive(); message; message = await stream.receive()) await stream.send(message);
  stream.end();
}

const resultKind = 2;

async function send(session: Session, header: object, body: Uint8Array): Promise<string> {
  const stream = session.open(encodeUtf8(JSON.stringify(header)));
  await stream.send(body, { end: true });
  for (;;) {
    const answer = await stream.receive();
    if (!answer) return "no answer";
    if (answer[0] === resultKind) return "result";
    const error = /"code":"([A-Z_]+)"/.exec(decodeUtf8(answer.subarray(1)));
    if (error) return error[1]!;
  }
}
