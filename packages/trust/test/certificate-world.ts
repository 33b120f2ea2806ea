/** A cluster with fixed keys, names, serials and times, and the means to make certificates that no CA would issue. */
import { concatBytes, encodeBase32, encodeUtf8 } from "@fed/core";
import { keyIdentifierOf } from "../src/ca.js";
import * as build from "../src/certificate-builder.js";
import { type DerValue, membersOf, readDer } from "../src/der.js";
import {
  createSigner,
  hubDnsName,
  type KeyPair,
  keyPairFromSecret,
  type Signer,
  sha256,
  spiffeUri,
} from "../src/index.js";
import { oid } from "../src/x509.js";

export interface TestKey extends KeyPair {
  readonly signer: Signer;
}

export function testKey(name: string): TestKey {
  const pair = keyPairFromSecret(sha256(encodeUtf8(`secret key of ${name}`)));
  return { ...pair, signer: createSigner(pair.secretKey) };
}

export const clusterId: string = encodeBase32(sha256(encodeUtf8("genesis of this cluster")));
export const otherClusterId: string = encodeBase32(sha256(encodeUtf8("genesis of another cluster")));
export const hubId: string = encodeBase32(sha256(encodeUtf8("hub id")).slice(0, 16));
export const otherHubId: string = encodeBase32(sha256(encodeUtf8("another hub id")).slice(0, 16));
export const atMs: number = Date.UTC(2027, 0, 15, 12);
const dayMs = 86_400_000;

export const caKey: TestKey = testKey("the cluster CA");
export const otherCaKey: TestKey = testKey("another CA");
export const hubKey: TestKey = testKey("the hub");

/** 16 fixed bytes behind a positive first octet. */
export const serial: Uint8Array = concatBytes(Uint8Array.of(1), sha256(encodeUtf8("serial")).slice(0, 16));

export const uri = (value: string = spiffeUri(clusterId, hubId)) => build.textName(build.nameType.uri, value);
export const dns = (value: string = hubDnsName(clusterId, hubId)) => build.textName(build.nameType.dns, value);

type Extension = ReturnType<typeof build.keyUsage>;

/** The extensions of a good leaf, by name so that a case can change or drop one. */
export const leafExtensions = {
  basicConstraints: build.basicConstraints(undefined),
  keyUsage: build.keyUsage(0x80),
  extKeyUsage: build.extKeyUsage(oid.clientAuth, oid.serverAuth),
  subjectAltName: build.subjectAltName(uri(), dns()),
  subjectKeyIdentifier: build.subjectKeyIdentifier(keyIdentifierOf(hubKey.publicKey)),
  authorityKeyIdentifier: build.authorityKeyIdentifier(keyIdentifierOf(caKey.publicKey)),
};

type Change<T> = { readonly [K in keyof T]?: T[K] | undefined };

export interface LeafChange {
  readonly extensions?: Change<typeof leafExtensions>;
  readonly more?: readonly Extension[];
  readonly contents?: Partial<build.CertificateContents>;
  readonly signer?: Signer;
}

/** A good leaf but for what the case changes. */
export function leafWith({ extensions, more = [], contents, signer = caKey.signer }: LeafChange = {}): Uint8Array {
  return build.buildCertificate(
    {
      issuer: clusterId,
      subject: undefined,
      serial,
      notBeforeMs: atMs - 5 * 60_000,
      notAfterMs: atMs + 30 * dayMs,
      publicKey: hubKey.publicKey,
      extensions: present({ ...leafExtensions, ...extensions }, more),
      ...contents,
    },
    signer,
  );
}

/** The extensions of a good CA for `cluster`. */
export function caExtensions(cluster: string = clusterId, key: TestKey = caKey) {
  const { email, dns: dnsType, uri: uriType } = build.nameType;
  const names = [dnsType, uriType, email].map((type) => build.textName(type, cluster));
  return {
    basicConstraints: build.basicConstraints(0),
    keyUsage: build.keyUsage(0x06),
    nameConstraints: build.nameConstraints(names, [build.ipName(new Uint8Array(8)), build.ipName(new Uint8Array(32))]),
    subjectKeyIdentifier: build.subjectKeyIdentifier(keyIdentifierOf(key.publicKey)),
  };
}

export interface CaChange {
  readonly extensions?: Change<ReturnType<typeof caExtensions>>;
  readonly more?: readonly Extension[];
  readonly contents?: Partial<build.CertificateContents>;
  readonly key?: TestKey;
  readonly signer?: Signer;
  readonly cluster?: string;
}

/** A good CA but for what the case changes. */
export function caWith(change: CaChange = {}): Uint8Array {
  const { extensions, more = [], contents, key = caKey, signer = key.signer, cluster = clusterId } = change;
  return build.buildCertificate(
    {
      issuer: cluster,
      subject: cluster,
      serial,
      notBeforeMs: atMs - dayMs,
      notAfterMs: atMs + 3650 * dayMs,
      publicKey: key.publicKey,
      extensions: present({ ...caExtensions(cluster, key), ...extensions }, more),
      ...contents,
    },
    signer,
  );
}

/** DER of one value. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concatBytes(...parts);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return concatBytes(Uint8Array.of(tag, ...head), content);
}

type Bytes = Uint8Array;
export type TbsFields = [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes];

/** The fields of a certificate's to-be-signed part: version, serial, algorithm, issuer, validity, subject, key, extensions. */
export function tbsFields(certificate: Uint8Array): TbsFields {
  const [tbs] = membersOf(readDer(certificate), 0x30);
  return membersOf(tbs, 0x30).map((field: DerValue) => field.encoded) as TbsFields;
}

/** A good leaf whose to-be-signed fields are replaced, signed again. */
export function leafWithFields(replace: Readonly<Record<number, Uint8Array>>, leaf = leafWith()): Uint8Array {
  const fields = tbsFields(leaf).map((field, i) => replace[i] ?? field);
  return signTbs(der(0x30, ...fields));
}

export const ed25519Algorithm: Uint8Array = Uint8Array.of(0x30, 5, 6, 3, 0x2b, 0x65, 0x70);

export function signTbs(tbs: Uint8Array, signer: Signer = caKey.signer, algorithm = ed25519Algorithm): Uint8Array {
  return der(0x30, tbs, algorithm, der(0x03, Uint8Array.of(0), signer.sign(tbs)));
}

function present(extensions: Readonly<Record<string, Extension | undefined>>, more: readonly Extension[]): Extension[] {
  return [...Object.values(extensions), ...more].filter((extension) => extension !== undefined);
}
