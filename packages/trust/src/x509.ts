/** The part of X.509 v3 (RFC 5280 §4) and PKCS#10 (RFC 2986) that certificates of a cluster use, read strictly. */
import { encodeHex } from "@fed/core";
import {
  type DerValue,
  derTag,
  expectTag,
  membersOf,
  readDer,
  readOid,
  readTime,
  readUnsigned,
  readWholeBits,
} from "./der.js";
import { spkiPrefix } from "./ed25519.js";
import { TrustError, type TrustErrorCode } from "./errors.js";
import { assertPublicKey } from "./keys.js";

/** Largest certificate or request that is read, bytes. */
export const maxCertificateBytes = 8 * 1024;

/** Object identifiers of the extensions and attributes we know. */
export const oid = {
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  ed25519: "1.3.101.112",
} as const;

/** One certificate extension; `value` is the DER inside its OCTET STRING. */
export interface X509Extension {
  readonly critical: boolean;
  readonly value: Uint8Array;
}

/** A certificate's fields, none of them judged. */
export interface ParsedCertificate {
  readonly der: Uint8Array;
  /** The bytes the signature covers. */
  readonly tbs: Uint8Array;
  /** 64 bytes. */
  readonly signature: Uint8Array;
  /** Lower-case hex of the INTEGER's content octets. */
  readonly serial: string;
  /** DER of the issuer's and the subject's Name. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly extensions: ReadonlyMap<string, X509Extension>;
}

/** A certificate request's fields, its signature not judged. */
export interface ParsedRequest {
  readonly tbs: Uint8Array;
  readonly signature: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A GeneralName (RFC 5280 §4.2.1.6) of a type we know; an IP address in hex, everything else as text. */
export interface GeneralName {
  readonly type: "email" | "dns" | "uri" | "ip" | "other";
  readonly value: string;
}

/** The extensions whose meaning we check; any other one must not be critical. */
const known = new Set<string>([
  oid.subjectKeyIdentifier,
  oid.keyUsage,
  oid.subjectAltName,
  oid.basicConstraints,
  oid.nameConstraints,
  oid.authorityKeyIdentifier,
  oid.extKeyUsage,
]);

const maxExtensions = 16;
const maxSerialBytes = 20;
const ed25519AlgorithmHex = "300506032b6570";
const generalNameTypes: Readonly<Record<number, GeneralName["type"]>> = {
  129: "email",
  130: "dns",
  134: "uri",
  135: "ip",
};

/** Runs `read` and gives whatever it throws the one `code` that its caller documents. */
export function readAs<T>(code: TrustErrorCode, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw new TrustError({ code, message: `The ${what} is not one of the form this cluster uses.`, cause });
  }
}

/** The fields of a DER certificate that is v3 and Ed25519 throughout. @throws {TrustError} `code` when it is anything else. */
export function parseCertificate(der: Uint8Array, code: TrustErrorCode): ParsedCertificate {
  return readAs(code, "certificate", () => {
    const { tbs, signature } = parseSigned(der);
    const fields = membersOf(tbs, derTag.sequence);
    if (fields.length !== 8) throw malformed("A certificate has other fields than eight of version 3.");
    const [version, serial, algorithm, issuer, validity, subject, spki, extensions] = fields;
    const [number] = membersOf(version, 0xa0);
    if (encodeHex(readUnsigned(number)) !== "02") throw malformed("Not a version 3 certificate.");
    expectEd25519(algorithm);
    const [notBefore, notAfter, ...more] = membersOf(validity, derTag.sequence);
    const notBeforeMs = readTime(notBefore);
    const notAfterMs = readTime(notAfter);
    if (more.length > 0 || notAfterMs < notBeforeMs) throw malformed("A validity that is never reached.");
    return {
      der,
      tbs: tbs.encoded,
      signature,
      serial: parseSerial(serial),
      issuer: expectTag(issuer, derTag.sequence).encoded,
      subject: expectTag(subject, derTag.sequence).encoded,
      notBeforeMs,
      notAfterMs,
      publicKey: parseSpki(spki),
      extensions: parseExtensions(extensions),
    };
  });
}

/** The fields of a DER certificate request with an Ed25519 key. @throws {TrustError} CSR_MALFORMED when it is anything else. */
export function parseRequest(der: Uint8Array): ParsedRequest {
  return readAs("CSR_MALFORMED", "certificate request", () => {
    const { tbs, signature } = parseSigned(der);
    const [version, subject, spki, attributes, ...more] = membersOf(tbs, derTag.sequence);
    if (encodeHex(readUnsigned(version)) !== "00" || more.length > 0) throw malformed("Not a version 1 request.");
    // Names and attributes that a joiner wishes for decide nothing, so none may be sent.
    if (membersOf(subject, derTag.sequence).length > 0) throw malformed("A request with a subject.");
    if (membersOf(attributes, 0xa0).length > 0) throw malformed("A request with attributes.");
    return { tbs: tbs.encoded, signature, publicKey: parseSpki(spki) };
  });
}

/** The names in a GeneralNames sequence. @throws {TrustError} DER_MALFORMED. */
export function readGeneralNames(der: Uint8Array): GeneralName[] {
  return membersOf(readDer(der), derTag.sequence).map(readGeneralName);
}

/** One GeneralName. */
export function readGeneralName({ tag, content }: DerValue): GeneralName {
  const type = generalNameTypes[tag] ?? "other";
  return { type, value: type === "ip" || type === "other" ? encodeHex(content) : String.fromCharCode(...content) };
}

function parseSigned(der: Uint8Array): { tbs: DerValue; signature: Uint8Array } {
  if (der.length > maxCertificateBytes) throw malformed(`Over ${maxCertificateBytes} bytes.`);
  const [tbs, algorithm, signature, ...more] = membersOf(readDer(der), derTag.sequence);
  if (more.length > 0) throw malformed("A signed object has more than three parts.");
  expectEd25519(algorithm);
  const bytes = readWholeBits(signature);
  if (bytes.length !== 64) throw malformed("A signature is not 64 bytes.");
  return { tbs: expectTag(tbs, derTag.sequence), signature: bytes };
}

function parseSerial(value: DerValue | undefined): string {
  const serial = readUnsigned(value);
  if (serial.length > maxSerialBytes || (serial.length === 1 && serial[0] === 0)) {
    throw malformed("A serial number is zero or too long.");
  }
  return encodeHex(serial);
}

function parseSpki(value: DerValue | undefined): Uint8Array {
  const { encoded } = expectTag(value, derTag.sequence);
  const prefix = encoded.subarray(0, spkiPrefix.length);
  if (encodeHex(prefix) !== encodeHex(spkiPrefix)) throw malformed("The public key is not Ed25519.");
  const publicKey = encoded.slice(spkiPrefix.length);
  assertPublicKey(publicKey);
  return publicKey;
}

function expectEd25519(value: DerValue | undefined): void {
  if (!value || encodeHex(value.encoded) !== ed25519AlgorithmHex) throw malformed("The signature is not Ed25519.");
}

function parseExtensions(value: DerValue | undefined): Map<string, X509Extension> {
  const [list, ...others] = membersOf(value, 0xa3);
  const members = membersOf(list, derTag.sequence);
  if (others.length > 0 || members.length > maxExtensions) throw malformed("Too many extensions.");
  const extensions = new Map<string, X509Extension>();
  for (const member of members) {
    const parts = membersOf(member, derTag.sequence);
    const critical = parts[1]?.tag === derTag.boolean;
    // DER leaves out the default, so a criticality that is spelled out is TRUE, and TRUE is FF.
    if (critical && encodeHex(parts[1]!.content) !== "ff") throw malformed("A criticality that is not TRUE.");
    if (parts.length !== (critical ? 3 : 2)) throw malformed("An extension has another number of parts.");
    const id = readOid(parts[0]);
    if (extensions.has(id)) throw malformed("An extension stands twice.");
    if (critical && !known.has(id)) throw malformed(`The critical extension ${id} is unknown.`);
    extensions.set(id, { critical, value: expectTag(parts.at(-1), derTag.octetString).content });
  }
  return extensions;
}

function malformed(message: string): TrustError {
  return new TrustError({ code: "DER_MALFORMED", message });
}
