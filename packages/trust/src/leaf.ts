/** A hub's leaf certificate (RFC 5280, SPIFFE X.509-SVID): issued by the cluster CA, verified at every handshake. */
import { type ClusterId, encodeBase64Url, encodeHex, equalBytes, type HubId } from "@fed/core";
import {
  backdateMs,
  type CertificateAuthority,
  dayMs,
  keyIdentifierOf,
  subjectKeyIdentifierOf,
  verifyCa,
} from "./ca.js";
import { assertNames, hubDnsName, parseSpiffeUri, spiffeUri } from "./cluster-name.js";
import { derTag, membersOf, readDer, readOid } from "./der.js";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { assertPublicKey, type Signer, sha256, spkiHash, verifySignature } from "./keys.js";
import { oid, type ParsedCertificate, parseCertificate, readAs, readGeneralNames } from "./x509.js";

/** A leaf certificate that was verified. */
export interface Leaf {
  readonly hubId: HubId;
  readonly clusterId: ClusterId;
  /** Lower-case hex. */
  readonly serial: string;
  /** SHA-256 of the SubjectPublicKeyInfo, base64url: how the manifest names the hub's key. */
  readonly spki: string;
  /** SHA-256 of `der`, base64url: `x5t#S256` (RFC 8705 §3.1). */
  readonly thumbprint: string;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly der: Uint8Array;
}

/** What a leaf says of itself; nothing of it is verified. */
export interface LeafClaims {
  readonly clusterId: ClusterId;
  readonly notAfterMs: number;
}

/** Options of {@link issueLeaf}. */
export interface IssueLeafOptions {
  /** The issuing CA certificate, DER. */
  readonly ca: Uint8Array;
  /** Signs with the CA's key. */
  readonly caKey: Signer;
  /** The hub's, proved by its request; 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly clusterId: ClusterId;
  readonly hubId: HubId;
  readonly nowMs: number;
  /** Default 30. Never beyond the CA's own end. */
  readonly lifetimeDays?: number;
}

/** What {@link verifyLeaf} judges by. */
export interface VerifyLeafOptions {
  /** The cluster's CA certificates, DER. */
  readonly cas: readonly Uint8Array[];
  readonly clusterId: ClusterId;
  readonly atMs: number;
}

/** KeyUsage bit digitalSignature. */
const leafKeyUsage = 0x80;

/**
 * DER of a new leaf for the hub `hubId`, dated back five minutes for slow clocks.
 * @throws {TrustError} BAD_NAME when an id is not one; BAD_KEY when `caKey` is not the CA's or `publicKey` is weak;
 * the CA_ codes of {@link verifyCa}.
 */
export async function issueLeaf(options: IssueLeafOptions): Promise<Uint8Array> {
  const { caKey, publicKey, clusterId, hubId, nowMs, lifetimeDays = 30 } = options;
  assertNames(clusterId, hubId);
  assertPublicKey(publicKey);
  const ca = verifyCa(options.ca, { clusterId, atMs: nowMs });
  if (!equalBytes(ca.publicKey, caKey.publicKey)) throw refused("BAD_KEY", "The signer does not hold the CA's key.");
  const build = await import("./certificate-builder.js");
  return build.buildCertificate(
    {
      issuer: clusterId,
      subject: undefined,
      notBeforeMs: Math.max(nowMs - backdateMs, ca.notBeforeMs),
      notAfterMs: Math.min(nowMs + lifetimeDays * dayMs, ca.notAfterMs),
      publicKey,
      extensions: [
        build.basicConstraints(undefined),
        build.keyUsage(leafKeyUsage),
        build.extKeyUsage(oid.clientAuth, oid.serverAuth),
        build.subjectAltName(
          build.textName(build.nameType.uri, spiffeUri(clusterId, hubId)),
          build.textName(build.nameType.dns, hubDnsName(clusterId, hubId)),
        ),
        build.subjectKeyIdentifier(keyIdentifierOf(publicKey)),
        build.authorityKeyIdentifier(ca.keyIdentifier),
      ],
    },
    caKey,
  );
}

/**
 * The leaf in `der`, issued directly by one of `cas` and valid at `atMs`. Whether the hub is a member is the manifest's
 * to say, and whether it was revoked the revocation list's.
 * @throws {TrustError} LEAF_MALFORMED (over 8 KiB, not strict DER, unknown critical extension …), LEAF_UNTRUSTED,
 * LEAF_EXPIRED, LEAF_NOT_YET_VALID, LEAF_BAD_USAGE, LEAF_BAD_NAME; the CA_ codes of {@link verifyCa} for its issuer.
 */
export function verifyLeaf(der: Uint8Array, { cas, clusterId, atMs }: VerifyLeafOptions): Leaf {
  const certificate = parseCertificate(der, "LEAF_MALFORMED");
  const { publicKey, serial, notBeforeMs, notAfterMs } = certificate;
  const ca = issuerOf(certificate, { cas, clusterId, atMs });
  if (!equalBytes(certificate.issuer, ca.subject)) throw untrusted("The leaf names another issuer than its CA.");
  try {
    verifySignature(ca.publicKey, certificate.tbs, certificate.signature);
  } catch (cause) {
    throw untrusted("The leaf is not signed by its CA.", cause);
  }
  if (atMs > notAfterMs) throw refused("LEAF_EXPIRED", "The leaf has expired.", "Renew the hub's certificate.");
  if (atMs < notBeforeMs) {
    throw refused("LEAF_NOT_YET_VALID", "The leaf is not valid yet.", "Compare the clocks of both hubs.");
  }
  checkUsage(certificate);
  const hubId = checkNames(certificate, clusterId);
  return {
    hubId,
    clusterId,
    serial,
    spki: spkiHash(publicKey),
    thumbprint: encodeBase64Url(sha256(der)),
    publicKey,
    notBeforeMs,
    notAfterMs,
    der,
  };
}

/**
 * What the leaf in `der` claims, for who has yet to find out what to verify it by.
 * @throws {TrustError} LEAF_MALFORMED, LEAF_BAD_NAME as {@link verifyLeaf}.
 */
export function readLeafClaims(der: Uint8Array): LeafClaims {
  const certificate = parseCertificate(der, "LEAF_MALFORMED");
  const clusterId = /^spiffe:\/\/([a-z2-7]{52})\/hub\//.exec(namesOf(certificate).uri)?.[1];
  if (clusterId === undefined) throw badName("The leaf's URI is not that of a hub.");
  checkNames(certificate, clusterId);
  return { clusterId, notAfterMs: certificate.notAfterMs };
}

/** The one CA that the leaf's authority key identifier points at; only that one is judged. */
function issuerOf(
  { extensions }: ParsedCertificate,
  { cas, clusterId, atMs }: VerifyLeafOptions,
): CertificateAuthority {
  const extension = extensions.get(oid.authorityKeyIdentifier);
  if (!extension || extension.critical) throw malformed("The leaf has no authority key identifier.");
  const [identifier, ...more] = readAs("LEAF_MALFORMED", "authority key identifier", () =>
    membersOf(readDer(extension.value), derTag.sequence),
  );
  if (identifier?.tag !== 0x80 || more.length > 0)
    throw malformed("The authority key identifier is not a key's alone.");
  const der = cas.find((ca) => {
    const keyIdentifier = subjectKeyIdentifierOf(parseCertificate(ca, "CA_MALFORMED"));
    return keyIdentifier && equalBytes(keyIdentifier, identifier.content);
  });
  if (!der) throw untrusted("The leaf was issued by none of the cluster's CAs.");
  return verifyCa(der, { clusterId, atMs });
}

function checkUsage({ extensions }: ParsedCertificate): void {
  const constraints = extensions.get(oid.basicConstraints);
  // DER leaves out the default cA FALSE, so the only constraints of a leaf are the empty sequence.
  if ((constraints && encodeHex(constraints.value) !== "3000") || extensions.has(oid.nameConstraints)) {
    throw refused("LEAF_BAD_USAGE", "The certificate is a CA's, not a hub's.");
  }
  const usage = extensions.get(oid.keyUsage);
  if (!usage?.critical || encodeHex(usage.value) !== "03020780") {
    throw refused("LEAF_BAD_USAGE", "The leaf's key is not for digital signatures alone.");
  }
  const extended = extensions.get(oid.extKeyUsage);
  const purposes = extended
    ? readAs("LEAF_BAD_USAGE", "extended key usage", () =>
        membersOf(readDer(extended.value), derTag.sequence).map(readOid),
      )
    : [];
  if (purposes.sort().join() !== [oid.serverAuth, oid.clientAuth].join()) {
    throw refused("LEAF_BAD_USAGE", "The leaf is not for TLS client and server alone.");
  }
}

function checkNames(certificate: ParsedCertificate, clusterId: ClusterId): HubId {
  const { uri, dns } = namesOf(certificate);
  const hubId = parseSpiffeUri(uri, clusterId);
  if (hubId === undefined) throw badName("The leaf's URI is not that of a hub of this cluster.");
  if (dns !== hubDnsName(clusterId, hubId)) throw badName("The leaf's DNS name is another hub's.");
  return hubId;
}

/** The one URI and the one DNS name that a leaf has. */
function namesOf({ subject, extensions }: ParsedCertificate): { readonly uri: string; readonly dns: string } {
  if (encodeHex(subject) !== "3000") throw badName("The leaf's subject is not empty.");
  const extension = extensions.get(oid.subjectAltName);
  if (!extension?.critical) throw badName("The leaf has no critical subject alternative name.");
  const names = readAs("LEAF_BAD_NAME", "subject alternative name", () => readGeneralNames(extension.value));
  const uri = names.find(({ type }) => type === "uri");
  const dns = names.find(({ type }) => type === "dns");
  if (names.length !== 2 || !uri || !dns) throw badName("The leaf does not have one URI and one DNS name.");
  return { uri: uri.value, dns: dns.value };
}

function untrusted(message: string, cause?: unknown): TrustError {
  return refused("LEAF_UNTRUSTED", message, "Check that both hubs have the current manifest.", cause);
}

function badName(message: string): TrustError {
  return refused("LEAF_BAD_NAME", message);
}

function malformed(message: string): TrustError {
  return refused("LEAF_MALFORMED", message);
}

function refused(code: TrustErrorCode, message: string, hint?: string, cause?: unknown): TrustError {
  return new TrustError({
    code,
    message,
    hint,
    cause,
  });
}
