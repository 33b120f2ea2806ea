/**
 * Builds the DER of certificates (RFC 5280 §4.1) and requests (RFC 2986 §4) with pkijs, which lays out the bytes to be
 * signed but cannot sign Ed25519: our signer does. Loaded only by those who issue, see the dynamic imports.
 */
import { randomBytes } from "@fed/core";
import * as asn1js from "asn1js";
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  BasicConstraints,
  Certificate,
  CertificationRequest,
  Extension,
  ExtKeyUsage,
  GeneralName,
  GeneralNames,
  GeneralSubtree,
  NameConstraints,
  PublicKeyInfo,
  RelativeDistinguishedNames,
  Time,
  TimeType,
} from "pkijs";
import { encodeSpki, type Signer } from "./keys.js";
import { oid } from "./x509.js";

/** What goes into a certificate. */
export interface CertificateContents {
  /** The issuer's and the subject's common name; undefined for an empty Name. */
  readonly issuer: string | undefined;
  readonly subject: string | undefined;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Of the subject, 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly extensions: readonly Extension[];
  /** Content octets of a positive INTEGER. Default {@link randomSerial}. */
  readonly serial?: Uint8Array;
}

/** GeneralName choices (RFC 5280 §4.2.1.6). */
export const nameType = { email: 1, dns: 2, uri: 6, ip: 7 } as const;

/** 128 random bits behind an octet that keeps the INTEGER positive and in shortest form; 17 bytes. */
export function randomSerial(): Uint8Array {
  const serial = new Uint8Array(17);
  serial[0] = 1;
  serial.set(randomBytes(16), 1);
  return serial;
}

/** DER of a certificate over `contents`, signed by the issuer's `signer`. */
export function buildCertificate(contents: CertificateContents, signer: Signer): Uint8Array {
  const certificate = new Certificate();
  certificate.version = 2;
  certificate.serialNumber = new asn1js.Integer({ valueHex: copyBuffer(contents.serial ?? randomSerial()) });
  certificate.signature = ed25519Algorithm();
  certificate.signatureAlgorithm = ed25519Algorithm();
  certificate.issuer = name(contents.issuer);
  certificate.subject = name(contents.subject);
  certificate.notBefore = time(contents.notBeforeMs);
  certificate.notAfter = time(contents.notAfterMs);
  certificate.subjectPublicKeyInfo = publicKeyInfo(contents.publicKey);
  certificate.extensions = [...contents.extensions];
  certificate.tbsView = new Uint8Array(certificate.encodeTBS().toBER());
  certificate.signatureValue = bitString(signer.sign(certificate.tbsView));
  return new Uint8Array(certificate.toSchema(false).toBER());
}

/** DER of a request for `signer`'s own key: no subject, no attributes. */
export function buildRequest(signer: Signer): Uint8Array {
  const request = new CertificationRequest();
  request.subject = name(undefined);
  request.subjectPublicKeyInfo = publicKeyInfo(signer.publicKey);
  request.attributes = [];
  request.signatureAlgorithm = ed25519Algorithm();
  const [tbs] = request.toSchema(true).valueBlock.value;
  request.tbsView = new Uint8Array(tbs!.toBER());
  request.signatureValue = bitString(signer.sign(request.tbsView));
  return new Uint8Array(request.toSchema(false).toBER());
}

export function basicConstraints(pathLength: number | undefined): Extension {
  const value =
    pathLength === undefined
      ? new BasicConstraints()
      : new BasicConstraints({ cA: true, pathLenConstraint: pathLength });
  return extension(oid.basicConstraints, true, value.toSchema());
}

/** `bits`: the octet that holds KeyUsage bits 0 to 7, most significant first. */
export function keyUsage(bits: number): Extension {
  const unusedBits = 31 - Math.clz32(bits & -bits);
  const value = new asn1js.BitString({ valueHex: Uint8Array.of(bits).buffer, unusedBits });
  return extension(oid.keyUsage, true, value);
}

export function extKeyUsage(...purposes: readonly string[]): Extension {
  return extension(oid.extKeyUsage, false, new ExtKeyUsage({ keyPurposes: [...purposes] }).toSchema());
}

export function subjectAltName(...names: readonly GeneralName[]): Extension {
  return extension(oid.subjectAltName, true, new GeneralNames({ names: [...names] }).toSchema());
}

export function nameConstraints(permitted: readonly GeneralName[], excluded: readonly GeneralName[]): Extension {
  const subtrees = (names: readonly GeneralName[]) => names.map((base) => new GeneralSubtree({ base }));
  const value = new NameConstraints({ permittedSubtrees: subtrees(permitted), excludedSubtrees: subtrees(excluded) });
  return extension(oid.nameConstraints, true, value.toSchema());
}

export function subjectKeyIdentifier(keyIdentifier: Uint8Array): Extension {
  const value = new asn1js.OctetString({ valueHex: copyBuffer(keyIdentifier) });
  return extension(oid.subjectKeyIdentifier, false, value);
}

export function authorityKeyIdentifier(keyIdentifier: Uint8Array): Extension {
  const identifier = new asn1js.Primitive({
    idBlock: { tagClass: 3, tagNumber: 0 },
    valueHex: copyBuffer(keyIdentifier),
  });
  return extension(oid.authorityKeyIdentifier, false, new asn1js.Sequence({ value: [identifier] }));
}

export function textName(type: 1 | 2 | 6, value: string): GeneralName {
  return new GeneralName({ type, value });
}

export function ipName(octets: Uint8Array): GeneralName {
  return new GeneralName({ type: nameType.ip, value: new asn1js.OctetString({ valueHex: copyBuffer(octets) }) });
}

function extension(extnID: string, critical: boolean, value: asn1js.BaseBlock): Extension {
  return new Extension({ extnID, critical, extnValue: value.toBER() });
}

function name(commonName: string | undefined): RelativeDistinguishedNames {
  if (commonName === undefined) {
    const empty = new RelativeDistinguishedNames();
    // Left to itself pkijs writes an empty name as a sequence of one empty set, which is not a Name.
    empty.valueBeforeDecode = Uint8Array.of(0x30, 0).buffer;
    return empty;
  }
  const value = new asn1js.Utf8String({ value: commonName });
  return new RelativeDistinguishedNames({
    typesAndValues: [new AttributeTypeAndValue({ type: oid.commonName, value })],
  });
}

/** RFC 5280 §4.1.2.5: UTCTime through 2049; whole seconds. */
function time(ms: number): Time {
  const value = new Date(Math.floor(ms / 1000) * 1000);
  return new Time({ value, type: value.getUTCFullYear() < 2050 ? TimeType.UTCTime : TimeType.GeneralizedTime });
}

function publicKeyInfo(publicKey: Uint8Array): PublicKeyInfo {
  const info = new PublicKeyInfo();
  info.algorithm = ed25519Algorithm();
  info.subjectPublicKey = bitString(encodeSpki(publicKey).subarray(-32));
  return info;
}

function ed25519Algorithm(): AlgorithmIdentifier {
  return new AlgorithmIdentifier({ algorithmId: oid.ed25519 });
}

function bitString(bytes: Uint8Array): asn1js.BitString {
  return new asn1js.BitString({ valueHex: copyBuffer(bytes) });
}

/** asn1js takes whole ArrayBuffers. */
function copyBuffer(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
