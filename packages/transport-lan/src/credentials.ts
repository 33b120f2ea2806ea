/** What this hub shows and whom it trusts, in the forms that node:tls wants; and what a peer showed, as evidence. */
import { constants, X509Certificate } from "node:crypto";
import {
  createSecureContext,
  type DetailedPeerCertificate,
  type SecureContext,
  type SecureContextOptions,
  type TLSSocket,
} from "node:tls";
import type { PeerEvidence } from "@fed/core";
import { LanError } from "./errors.js";

/** What a hub proves itself with, and which CAs it takes. Opaque here; trust makes and judges it. */
export interface LanCredentials {
  /** This hub's leaf, DER. */
  readonly leaf: Uint8Array;
  /** The private key of `leaf`, PKCS#8 PEM. */
  readonly privateKeyPem: string;
  /** CA certificates to trust, DER; the leaf's own issuer among them, which is sent along with the leaf. */
  readonly caCertificates: readonly Uint8Array[];
  /** One CRL (DER) for each of `caCertificates`, or none at all: OpenSSL then refuses what they list. */
  readonly crls?: readonly Uint8Array[];
}

/** Deepest chain that is read from a peer; trust takes two. */
const maxChainLength = 4;

/**
 * Both ways TLS 1.3 only and without tickets: a resumed session would skip every check of the certificate.
 * @throws {LanError} CREDENTIALS_INVALID.
 */
export function secureContextOptions(credentials: LanCredentials): SecureContextOptions {
  try {
    const leaf = new X509Certificate(credentials.leaf);
    const issuer = credentials.caCertificates.find((der) => isIssuer(leaf, der));
    if (!issuer) throw credentialsInvalid();
    const options: SecureContextOptions = {
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      secureOptions: constants.SSL_OP_NO_TICKET,
      key: credentials.privateKeyPem,
      cert: encodePem(credentials.leaf, "CERTIFICATE") + encodePem(issuer, "CERTIFICATE"),
      ca: credentials.caCertificates.map((der) => encodePem(der, "CERTIFICATE")),
      // An array, because of one concatenated text Node reads only the first list.
      ...(credentials.crls?.length ? { crl: credentials.crls.map((der) => encodePem(der, "X509 CRL")) } : {}),
    };
    createSecureContext(options);
    return options;
  } catch (cause) {
    throw cause instanceof LanError ? cause : credentialsInvalid(cause);
  }
}

function credentialsInvalid(cause?: unknown): LanError {
  return new LanError({
    code: "CREDENTIALS_INVALID",
    message: "The certificate, its key and the CA certificates do not fit together.",
    hint: "The leaf must match the private key and be issued by one of caCertificates.",
    cause,
  });
}

/** A context for a guest, who has nothing to show and judges the responder by a pin alone. */
export function guestContext(): SecureContext {
  return createSecureContext({ minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ca: [] });
}

/**
 * The chain of the other side, DER, leaf first; empty when it presented nothing. An issuer that it left out is filled in
 * from our own CAs. (`getPeerX509Certificate` loses the issuer on a server that trusts it, in Node 24.)
 */
export function presentedChain(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let certificate: DetailedPeerCertificate | undefined = socket.getPeerCertificate(true);
  // An object without fields stands for none; a self-signed certificate is its own issuer.
  while (certificate?.raw && chain.length < maxChainLength) {
    chain.push(new Uint8Array(certificate.raw));
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
  return chain;
}

/**
 * What the other side proved in its handshake.
 * @throws {LanError} SESSION_RESUMED, CERTIFICATE_MISSING.
 */
export function tlsEvidence(socket: TLSSocket): PeerEvidence {
  if (socket.isSessionReused()) {
    throw new LanError({ code: "SESSION_RESUMED", message: "A resumed TLS session proves nothing now." });
  }
  const [leaf, ...chain] = presentedChain(socket);
  if (!leaf) throw new LanError({ code: "CERTIFICATE_MISSING", message: "The other side showed no certificate." });
  return { kind: "tls", leaf, chain };
}

function isIssuer(leaf: X509Certificate, der: Uint8Array): boolean {
  const candidate = new X509Certificate(der);
  return leaf.checkIssued(candidate) && leaf.verify(candidate.publicKey);
}

function encodePem(der: Uint8Array, label: string): string {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
