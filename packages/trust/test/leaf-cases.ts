/** The cases of vectors/trust/leaf.json: one good leaf, and one that breaks each rule. */
import { concatBytes, encodeBase64Url, encodeUtf8 } from "@fed/core";
import { Extension, type GeneralName } from "pkijs";
import { keyIdentifierOf } from "../src/ca.js";
import * as build from "../src/certificate-builder.js";
import { hubDnsName, spiffeUri } from "../src/index.js";
import { oid } from "../src/x509.js";
import {
  atMs,
  caExtensions,
  caKey,
  caWith,
  clusterId,
  der,
  dns,
  ed25519Algorithm,
  hubId,
  hubKey,
  type LeafChange,
  leafExtensions,
  leafWith,
  leafWithFields,
  otherCaKey,
  otherClusterId,
  otherHubId,
  serial,
  signTbs,
  tbsFields,
  uri,
} from "./certificate-world.js";

export interface LeafCase {
  readonly name: string;
  /** Expected code; absent when the leaf is to be accepted. */
  readonly code?: string;
  /** DER, base64url. */
  readonly leaf: string;
  /** Trust anchors when they are not the shared ones; DER, base64url. */
  readonly cas?: readonly string[];
  readonly atMs?: number;
}

export interface LeafVectors {
  readonly notes: Readonly<Record<string, string>>;
  readonly clusterId: string;
  readonly hubId: string;
  readonly atMs: number;
  readonly cas: readonly string[];
  readonly cases: readonly LeafCase[];
}

export function leafVectors(): LeafVectors {
  return {
    notes: {
      use: "Verify each case's leaf against the trust anchors `cas` at `atMs` for `clusterId`; it is refused with `code`, or accepted as `hubId`'s when there is none.",
      encodings: "Certificates are DER in base64url. Times are Unix milliseconds. A case's own `cas` and `atMs` win.",
    },
    clusterId,
    hubId,
    atMs,
    cas: [caWith(), caWith({ key: otherCaKey })].map((ca) => encodeBase64Url(ca)),
    cases: [...valid(), ...untrusted(), ...names(), ...usages(), ...malformed(), ...authorities()],
  };
}

const text = (type: 1 | 2 | 6, value: string) => build.textName(type, value);
const extension = (extnID: string, critical: boolean, value: Uint8Array) =>
  new Extension({ extnID, critical, extnValue: new Uint8Array(value).buffer });

function one(name: string, code: string | undefined, leaf: Uint8Array, more: Partial<LeafCase> = {}): LeafCase {
  return { name, ...(code === undefined ? {} : { code }), leaf: encodeBase64Url(leaf), ...more };
}

const changed = (name: string, code: string | undefined, change: LeafChange) => one(name, code, leafWith(change));

const san = (name: string, ...list: GeneralName[]) =>
  changed(name, "LEAF_BAD_NAME", { extensions: { subjectAltName: build.subjectAltName(...list) } });

function valid(): LeafCase[] {
  const good = leafWith();
  const bySecond = {
    extensions: { authorityKeyIdentifier: build.authorityKeyIdentifier(keyIdentifierOf(otherCaKey.publicKey)) },
    signer: otherCaKey.signer,
  };
  return [
    one("a good leaf", undefined, good),
    changed("issued by the second CA", undefined, bySecond),
    changed("without basic constraints", undefined, { extensions: { basicConstraints: undefined } }),
    changed("with an unknown extension that is not critical", undefined, {
      more: [extension("1.2.3.4", false, Uint8Array.of(5, 0))],
    }),
    one("in its first second", undefined, good, { atMs: atMs - 5 * 60_000 }),
    one("in its last second", undefined, good, { atMs: atMs + 30 * 86_400_000 }),
    changed("valid until 2050, in GeneralizedTime", undefined, { contents: { notAfterMs: Date.UTC(2050, 0, 1) } }),
  ];
}

function untrusted(): LeafCase[] {
  const good = leafWith();
  const flipped = good.slice();
  flipped[good.length - 1]! ^= 1;
  return [
    changed("signed by a key that is not its CA's", "LEAF_UNTRUSTED", { signer: otherCaKey.signer }),
    one("issued by a CA that is not trusted", "LEAF_UNTRUSTED", good, {
      cas: [encodeBase64Url(caWith({ key: otherCaKey }))],
    }),
    one("with no trust anchor at all", "LEAF_UNTRUSTED", good, { cas: [] }),
    changed("signed by itself", "LEAF_UNTRUSTED", {
      signer: hubKey.signer,
      extensions: { authorityKeyIdentifier: build.authorityKeyIdentifier(keyIdentifierOf(hubKey.publicKey)) },
    }),
    changed("naming another issuer than its CA", "LEAF_UNTRUSTED", { contents: { issuer: otherClusterId } }),
    one("with one bit of the signature flipped", "LEAF_UNTRUSTED", flipped),
    one("a millisecond after its end", "LEAF_EXPIRED", good, { atMs: atMs + 30 * 86_400_000 + 1 }),
    one("a millisecond before its start", "LEAF_NOT_YET_VALID", good, { atMs: atMs - 5 * 60_000 - 1 }),
  ];
}

function names(): LeafCase[] {
  const path = `/hub/${hubId}`;
  const uris: Record<string, string> = {
    "of another cluster": spiffeUri(otherClusterId, hubId),
    "with another scheme": `https://${clusterId}${path}`,
    "with an upper-case scheme": `SPIFFE://${clusterId}${path}`,
    "with an upper-case host": `spiffe://${clusterId.toUpperCase()}${path}`,
    "with a port": `spiffe://${clusterId}:443${path}`,
    "with a user": `spiffe://a@${clusterId}${path}`,
    "with a trailing slash": `spiffe://${clusterId}${path}/`,
    "with a longer path": `spiffe://${clusterId}${path}/x`,
    "with a query": `spiffe://${clusterId}${path}?x`,
    "with another path": `spiffe://${clusterId}/app/${hubId}`,
    "with a short hub id": `spiffe://${clusterId}/hub/${hubId.slice(1)}`,
    "with a hub id whose unused bits are set": `spiffe://${clusterId}/hub/${hubId.slice(0, -1)}z`,
    "cut by a NUL": `spiffe://${clusterId}${path}\0`,
  };
  const ip = build.ipName(Uint8Array.of(127, 0, 0, 1));
  return [
    ...Object.entries(uris).map(([what, value]) => san(`a URI ${what}`, uri(value), dns())),
    san("two URIs", uri(), uri(spiffeUri(clusterId, otherHubId)), dns()),
    san("the same URI twice", uri(), uri(), dns()),
    san("no URI", dns()),
    san("no DNS name", uri()),
    san("two DNS names", uri(), dns(), dns(hubDnsName(clusterId, otherHubId))),
    san("two DNS names and no URI", dns(), dns()),
    san("the DNS name of another hub", uri(), dns(hubDnsName(clusterId, otherHubId))),
    san("the DNS name of another cluster", uri(), dns(hubDnsName(otherClusterId, hubId))),
    san("a wildcard DNS name", uri(), dns(`*.${clusterId}`)),
    san("an IP address besides", uri(), dns(), ip),
    san("an email address besides", uri(), dns(), text(build.nameType.email, `a@${clusterId}`)),
    changed("a SAN that is not critical", "LEAF_BAD_NAME", {
      extensions: { subjectAltName: extension(oid.subjectAltName, false, sanBytes()) },
    }),
    changed("no SAN", "LEAF_BAD_NAME", { extensions: { subjectAltName: undefined } }),
    changed("a subject", "LEAF_BAD_NAME", { contents: { subject: hubId } }),
  ];
}

const sanBytes = () => new Uint8Array(leafExtensions.subjectAltName.extnValue.valueBlock.valueHexView);

function usages(): LeafCase[] {
  const usage = (name: string, keyUsage: LeafChange["extensions"]) =>
    changed(name, "LEAF_BAD_USAGE", { extensions: { ...keyUsage } });
  const eku = (...purposes: string[]) => ({ extKeyUsage: build.extKeyUsage(...purposes) });
  return [
    usage("a CA's basic constraints", { basicConstraints: build.basicConstraints(0) }),
    usage("no key usage", { keyUsage: undefined }),
    usage("key usage certSign", { keyUsage: build.keyUsage(0x04) }),
    usage("key usage digitalSignature and certSign", { keyUsage: build.keyUsage(0x84) }),
    usage("key usage digitalSignature and keyAgreement", { keyUsage: build.keyUsage(0x88) }),
    usage("key usage that is not critical", { keyUsage: extension(oid.keyUsage, false, Uint8Array.of(3, 2, 7, 0x80)) }),
    usage("key usage with trailing zero bits", {
      keyUsage: extension(oid.keyUsage, true, Uint8Array.of(3, 2, 0, 0x80)),
    }),
    usage("no extended key usage", { extKeyUsage: undefined }),
    usage("client only", eku(oid.clientAuth)),
    usage("server only", eku(oid.serverAuth)),
    usage("any purpose", eku("2.5.29.37.0")),
    usage("client, server and code signing", eku(oid.clientAuth, oid.serverAuth, "1.3.6.1.5.5.7.3.3")),
    usage("client twice", eku(oid.clientAuth, oid.clientAuth)),
    changed("name constraints", "LEAF_BAD_USAGE", { more: [caExtensions().nameConstraints] }),
  ];
}

function malformed(): LeafCase[] {
  const good = leafWith();
  const [version, number, , , validity, , spki, extensions] = tbsFields(good);
  const bad = (name: string, leaf: Uint8Array) => one(name, "LEAF_MALFORMED", leaf);
  const field = (name: string, index: number, value: Uint8Array) => bad(name, leafWithFields({ [index]: value }));
  const change = (name: string, leaf: LeafChange) => changed(name, "LEAF_MALFORMED", leaf);
  const utc = (value: string) => der(0x17, encodeUtf8(value));
  const until = (end: Uint8Array) => der(0x30, utc("270101000000Z"), end);
  const spelledOut = (byte: number) =>
    der(
      0xa3,
      der(
        0x30,
        der(
          0x30,
          Uint8Array.of(6, 3, 0x55, 0x1d, 0x0f),
          Uint8Array.of(1, 1, byte),
          der(4, Uint8Array.of(3, 2, 7, 0x80)),
        ),
      ),
    );
  const key = (bytes: Uint8Array) => der(0x30, ed25519Algorithm, der(3, Uint8Array.of(0), bytes));
  const tbs = der(0x30, ...tbsFields(good));
  const aki = (bytes: Uint8Array) => ({
    extensions: { authorityKeyIdentifier: extension(oid.authorityKeyIdentifier, false, bytes) },
  });
  const identifier = keyIdentifierOf(caKey.publicKey);
  return [
    bad("nothing", new Uint8Array(0)),
    bad("cut short", good.subarray(0, -1)),
    bad("a byte behind it", concatBytes(good, Uint8Array.of(0))),
    bad("over 8 KiB", leafWith({ more: [extension("1.2.3.4", false, new Uint8Array(8192))] })),
    bad("an outer length that is not shortest", concatBytes(Uint8Array.of(0x30, 0x83, 0), good.subarray(2))),
    bad("an indefinite length", concatBytes(Uint8Array.of(0x30, 0x80), good.subarray(4), Uint8Array.of(0, 0))),
    bad("a tag of the long form", concatBytes(Uint8Array.of(0x3f), good.subarray(1))),
    bad(
      "a signature of another algorithm outside",
      signTbs(tbs, caKey.signer, Uint8Array.of(0x30, 5, 6, 3, 0x2b, 0x65, 0x71)),
    ),
    bad(
      "algorithm parameters outside",
      signTbs(tbs, caKey.signer, Uint8Array.of(0x30, 7, 6, 3, 0x2b, 0x65, 0x70, 5, 0)),
    ),
    bad("a signature of 63 bytes", der(0x30, tbs, ed25519Algorithm, der(3, Uint8Array.of(0), new Uint8Array(63)))),
    field("an algorithm inside that is not the one outside", 2, Uint8Array.of(0x30, 5, 6, 3, 0x2b, 0x65, 0x71)),
    field("version 1 spelled out", 0, Uint8Array.of(0xa0, 3, 2, 1, 0)),
    field("version 2", 0, Uint8Array.of(0xa0, 3, 2, 1, 1)),
    field("an issuer unique id", 6, concatBytes(spki, Uint8Array.of(0x81, 2, 0, 1))),
    field("no extensions", 7, new Uint8Array(0)),
    field("a negative serial", 1, Uint8Array.of(2, 1, 0x80)),
    field("a serial of zero", 1, Uint8Array.of(2, 1, 0)),
    field("a serial that is not shortest", 1, Uint8Array.of(2, 2, 0, 1)),
    field("a serial of 21 bytes", 1, der(2, new Uint8Array(21).fill(1))),
    field("two serials", 1, concatBytes(number, number)),
    field("no version", 0, new Uint8Array(0)),
    field("a version twice", 0, concatBytes(version, version)),
    field("an end before its start", 4, until(utc("260101000000Z"))),
    field("a time without seconds", 4, until(utc("2702010000Z"))),
    field("a time with an offset", 4, until(utc("270201000000+0000"))),
    field("the thirtieth of February", 4, until(utc("270230000000Z"))),
    field("GeneralizedTime before 2050", 4, until(der(0x18, encodeUtf8("20270201000000Z")))),
    field("GeneralizedTime with a fraction", 4, until(der(0x18, encodeUtf8("20500201000000.5Z")))),
    field("a third time", 4, der(0x30, validity.subarray(2), utc("270201000000Z"))),
    field("an X25519 key", 6, der(0x30, Uint8Array.of(0x30, 5, 6, 3, 0x2b, 0x65, 0x6e), der(3, new Uint8Array(33)))),
    field("a key of 31 bytes", 6, key(hubKey.publicKey.subarray(1))),
    field("a key of small order", 6, key(concatBytes(Uint8Array.of(1), new Uint8Array(31)))),
    field("a criticality of 01", 7, spelledOut(1)),
    field("a criticality of FALSE spelled out", 7, spelledOut(0)),
    field("extensions twice", 7, concatBytes(extensions, extensions)),
    change("an unknown critical extension", { more: [extension("1.2.3.4", true, Uint8Array.of(5, 0))] }),
    change("an extension twice", { more: [leafExtensions.keyUsage] }),
    change("seventeen extensions", {
      more: Array.from({ length: 11 }, (_, i) => extension(`1.2.3.${i}`, false, Uint8Array.of(5, 0))),
    }),
    change("no authority key identifier", { extensions: { authorityKeyIdentifier: undefined } }),
    change("an empty authority key identifier", aki(der(0x30))),
    change("an authority key identifier with a serial", aki(der(0x30, der(0x80, identifier), der(0x82, serial)))),
    change(
      "an authority key identifier with a byte behind it",
      aki(concatBytes(der(0x30, der(0x80, identifier)), Uint8Array.of(0))),
    ),
  ];
}

/** Good leaves whose CA is none. */
function authorities(): LeafCase[] {
  const good = leafWith();
  const ca = (name: string, code: string, change: Parameters<typeof caWith>[0]) =>
    one(`a CA ${name}`, code, good, { cas: [encodeBase64Url(caWith(change))] });
  const { email, dns: dnsType, uri: uriType } = build.nameType;
  const permitted = (host: string) => [dnsType, uriType, email].map((type) => text(type, host));
  const ips = [build.ipName(new Uint8Array(8)), build.ipName(new Uint8Array(32))];
  const constraints = (permits: GeneralName[], excludes: GeneralName[]) => ({
    extensions: { nameConstraints: build.nameConstraints(permits, excludes) },
  });
  const own = new Uint8Array(caExtensions().nameConstraints.extnValue.valueBlock.valueHexView);
  return [
    ca("that has expired", "CA_EXPIRED", { contents: { notAfterMs: atMs - 1000 } }),
    ca("that is not valid yet", "CA_NOT_YET_VALID", { contents: { notBeforeMs: atMs + 1000 } }),
    ca("signed by another key", "CA_BAD_SIGNATURE", { signer: otherCaKey.signer }),
    ca("issued by another one", "CA_BAD_SIGNATURE", { contents: { issuer: otherClusterId } }),
    ca("without path length", "CA_BAD_USAGE", {
      extensions: { basicConstraints: extension(oid.basicConstraints, true, Uint8Array.of(0x30, 3, 1, 1, 0xff)) },
    }),
    ca("of path length 1", "CA_BAD_USAGE", { extensions: { basicConstraints: build.basicConstraints(1) } }),
    ca("that is no CA", "CA_BAD_USAGE", { extensions: { basicConstraints: build.basicConstraints(undefined) } }),
    ca("without basic constraints", "CA_BAD_USAGE", { extensions: { basicConstraints: undefined } }),
    ca("without key usage", "CA_BAD_USAGE", { extensions: { keyUsage: undefined } }),
    ca("that may also sign messages", "CA_BAD_USAGE", { extensions: { keyUsage: build.keyUsage(0x86) } }),
    ca("with an extended key usage", "CA_BAD_USAGE", { more: [leafExtensions.extKeyUsage] }),
    ca("without name constraints", "CA_BAD_NAME", { extensions: { nameConstraints: undefined } }),
    ca("with name constraints that are not critical", "CA_BAD_NAME", {
      extensions: { nameConstraints: extension(oid.nameConstraints, false, own) },
    }),
    ca("constrained to another cluster", "CA_BAD_NAME", constraints(permitted(otherClusterId), ips)),
    ca(
      "constrained to two clusters",
      "CA_BAD_NAME",
      constraints([...permitted(clusterId), ...permitted(otherClusterId)], ips),
    ),
    ca("not constrained in email", "CA_BAD_NAME", constraints(permitted(clusterId).slice(0, 2), ips)),
    ca("not constrained in IPv6", "CA_BAD_NAME", constraints(permitted(clusterId), ips.slice(0, 1))),
    ca("of another cluster", "CA_BAD_NAME", { contents: { issuer: otherClusterId, subject: otherClusterId } }),
    ca("with another name of its own", "CA_BAD_NAME", { more: [leafExtensions.subjectAltName] }),
  ];
}
