/** The cluster CA (RFC 5280): a self-signed certificate that can issue leaves of its own cluster and nothing else. */
import { type ClusterId, encodeHex, equalBytes } from "@fed/core";
import { assertNames } from "./cluster-name.js";
import { type DerValue, derTag, expectTag, membersOf, readDer, readOid } from "./der.js";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { createSigner, encodeSpki, type KeyPair, sha256, verifySignature } from "./keys.js";
import { oid, type ParsedCertificate, parseCertificate, readAs, readGeneralName } from "./x509.js";

/** A CA certificate that was verified. */
export interface CertificateAuthority {
  readonly clusterId: ClusterId;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** The subject key identifier: what the authority key identifier of its leaves says. */
  readonly keyIdentifier: Uint8Array;
  /** DER of its Name: what the issuer field of its leaves says. */
  readonly subject: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly der: Uint8Array;
}

/** Options of {@link createCa}. */
export interface CreateCaOptions {
  readonly clusterId: ClusterId;
  readonly key: KeyPair;
  readonly nowMs: number;
  /** Default 3650. */
  readonly lifetimeDays?: number;
}

/** A day, and how far certificates are dated back for hubs whose clocks are slow. */
export const dayMs = 86_400_000;
export const backdateMs = 300_000;

/** KeyUsage bits keyCertSign and cRLSign. */
const caKeyUsage = 0x06;
const everyIpv4 = new Uint8Array(8);
const everyIpv6 = new Uint8Array(32);

/**
 * DER of a new CA certificate for `clusterId`: path length 0, name constraints that keep it inside its own cluster.
 * @throws {TrustError} BAD_NAME when `clusterId` is not one.
 */
export async function createCa({ clusterId, key, nowMs, lifetimeDays = 3650 }: CreateCaOptions): Promise<Uint8Array> {
  assertNames(clusterId);
  const build = await import("./certificate-builder.js");
  const { email, dns, uri } = build.nameType;
  return build.buildCertificate(
    {
      issuer: clusterId,
      subject: clusterId,
      notBeforeMs: nowMs - backdateMs,
      notAfterMs: nowMs + lifetimeDays * dayMs,
      publicKey: key.publicKey,
      extensions: [
        build.basicConstraints(0),
        build.keyUsage(caKeyUsage),
        build.nameConstraints(
          [dns, uri, email].map((type) => build.textName(type, clusterId)),
          [build.ipName(everyIpv4), build.ipName(everyIpv6)],
        ),
        build.subjectKeyIdentifier(keyIdentifierOf(key.publicKey)),
      ],
    },
    createSigner(key.secretKey),
  );
}

/**
 * The CA of `clusterId` in `der`, valid at `atMs`.
 * @throws {TrustError} CA_MALFORMED; CA_BAD_SIGNATURE when it did not sign itself; CA_EXPIRED, CA_NOT_YET_VALID;
 * CA_BAD_USAGE when it is no CA of path length 0; CA_BAD_NAME when it is another cluster's or not constrained to its own.
 */
export function verifyCa(
  der: Uint8Array,
  { clusterId, atMs }: { readonly clusterId: ClusterId; readonly atMs: number },
): CertificateAuthority {
  const ca = parseCa(der, clusterId);
  if (atMs > ca.notAfterMs) throw refused("CA_EXPIRED", "The CA certificate has expired.");
  if (atMs < ca.notBeforeMs) throw refused("CA_NOT_YET_VALID", "The CA certificate is not valid yet.");
  return ca;
}

/** As {@link verifyCa} but for the time: a manifest may list a CA whose day has not come or is over. */
export function parseCa(der: Uint8Array, clusterId: ClusterId): CertificateAuthority {
  const certificate = parseCertificate(der, "CA_MALFORMED");
  const { subject, issuer, publicKey, notBeforeMs, notAfterMs } = certificate;
  if (!equalBytes(subject, issuer)) throw refused("CA_BAD_SIGNATURE", "The CA certificate was issued by another one.");
  try {
    verifySignature(publicKey, certificate.tbs, certificate.signature);
  } catch (cause) {
    throw refused("CA_BAD_SIGNATURE", "The CA certificate is not signed by its own key.", cause);
  }
  checkUsage(certificate);
  checkNames(certificate, clusterId);
  const keyIdentifier = subjectKeyIdentifierOf(certificate);
  if (!keyIdentifier) throw refused("CA_MALFORMED", "The CA certificate has no subject key identifier.");
  return { clusterId, publicKey, keyIdentifier, subject, notBeforeMs, notAfterMs, der };
}

/** The first 160 bits of the SHA-256 of a public key (RFC 7093 §2, method 1); 20 bytes. */
export function keyIdentifierOf(publicKey: Uint8Array): Uint8Array {
  return sha256(encodeSpki(publicKey).subarray(-32)).subarray(0, 20);
}

/** The subject key identifier of a parsed certificate, if it has one. */
export function subjectKeyIdentifierOf({ extensions }: ParsedCertificate): Uint8Array | undefined {
  const extension = extensions.get(oid.subjectKeyIdentifier);
  if (!extension || extension.critical) return undefined;
  return readAs("CA_MALFORMED", "key identifier", () => expectTag(readDer(extension.value), derTag.octetString))
    .content;
}

function checkUsage({ extensions }: ParsedCertificate): void {
  const constraints = extensions.get(oid.basicConstraints);
  const usage = extensions.get(oid.keyUsage);
  // SEQUENCE { TRUE, 0 } and the two bits have one spelling each in DER.
  if (!constraints?.critical || encodeHex(constraints.value) !== "30060101ff020100") {
    throw refused("CA_BAD_USAGE", "The certificate is not that of a CA with path length 0.");
  }
  if (!usage?.critical || encodeHex(usage.value) !== "03020106" || extensions.has(oid.extKeyUsage)) {
    throw refused("CA_BAD_USAGE", "The CA's key may be used for more or less than signing certificates and CRLs.");
  }
}

function checkNames({ subject, extensions }: ParsedCertificate, clusterId: ClusterId): void {
  const commonName = readAs("CA_BAD_NAME", "CA name", () => readCommonName(subject));
  if (commonName !== clusterId || extensions.has(oid.subjectAltName)) {
    throw refused("CA_BAD_NAME", "The CA certificate is another cluster's.");
  }
  const constraints = extensions.get(oid.nameConstraints);
  const { permitted, excluded } = constraints?.critical
    ? readAs("CA_BAD_NAME", "CA's name constraints", () => readConstraints(constraints.value))
    : { permitted: [], excluded: [] };
  const demanded = [`dns ${clusterId}`, `email ${clusterId}`, `uri ${clusterId}`];
  const banned = [`ip ${encodeHex(everyIpv4)}`, `ip ${encodeHex(everyIpv6)}`];
  if (permitted.join() !== demanded.join() || excluded.join() !== banned.join()) {
    throw refused("CA_BAD_NAME", "The CA is not constrained to names of its own cluster.");
  }
}

/** The text of a Name that is exactly one common name in UTF-8. */
function readCommonName(name: Uint8Array): string {
  const [rdn, ...moreNames] = membersOf(readDer(name), derTag.sequence);
  const [attribute, ...moreAttributes] = membersOf(rdn, derTag.set);
  const [type, value, ...more] = membersOf(attribute, derTag.sequence);
  if (readOid(type) !== oid.commonName || moreNames.length + moreAttributes.length + more.length > 0) return "";
  return String.fromCharCode(...expectTag(value, derTag.utf8String).content);
}

function readConstraints(der: Uint8Array): { permitted: string[]; excluded: string[] } {
  const [permitted, excluded, ...more] = membersOf(readDer(der), derTag.sequence);
  if (more.length > 0) return { permitted: [], excluded: [] };
  return { permitted: readSubtrees(permitted, 0xa0), excluded: readSubtrees(excluded, 0xa1) };
}

/** `type value` of each subtree, sorted. A subtree with a minimum or maximum is none of ours. */
function readSubtrees(value: DerValue | undefined, tag: number): string[] {
  return membersOf(value, tag)
    .map((subtree) => {
      const [base, ...more] = membersOf(subtree, derTag.sequence);
      if (!base || more.length > 0) return "other";
      const general = readGeneralName(base);
      return `${general.type} ${general.value}`;
    })
    .sort();
}

function refused(code: TrustErrorCode, message: string, cause?: unknown): TrustError {
  return new TrustError({ code, message, cause });
}
