/** How rooms name hubs and the authenticated other end of a connection. */

/** A hub's stable id: 128 random bits, base32 (RFC 4648 §6) in lower case without padding, 26 characters. */
export type HubId = string;

/** A cluster's id: SHA-256 of the genesis manifest's payload bytes, base32 in lower case without padding, 52 characters. */
export type ClusterId = string;

/** The other end of a connection after trust has judged it. */
export interface PeerIdentity {
  readonly hubId: HubId;
  readonly clusterId: ClusterId;
  /** Unique in its cluster; for people. */
  readonly name: string;
  /** SHA-256 of the leaf certificate's DER, base64url: what `cnf.x5t#S256` carries (RFC 8705 §3.1). */
  readonly thumbprint: string;
  /** The leaf's serial number, lower-case hex. */
  readonly serial: string;
  /** SHA-256 of the leaf's SubjectPublicKeyInfo, base64url. */
  readonly spki: string;
}

/** What a transport proved about the other end: it holds the private key of `leaf`, or of `noiseKey`. */
export type PeerEvidence =
  | {
      readonly kind: "tls";
      /** The presented leaf, DER. */
      readonly leaf: Uint8Array;
      /** The rest of the presented chain, DER, leaf's issuer first. */
      readonly chain: readonly Uint8Array[];
    }
  | {
      readonly kind: "noise";
      /** The X25519 static key proved by the handshake, 32 bytes. */
      readonly noiseKey: Uint8Array;
      /** The leaf the peer claims, DER; the manifest must bind it to `noiseKey`. */
      readonly leaf: Uint8Array;
      readonly chain: readonly Uint8Array[];
    };

/** Judges the other end of a connection, at every handshake. Implemented by the hub from trust and revocation. */
export interface PeerAuthenticator {
  /**
   * The identity behind `evidence`. Synchronous: a handshake waits for it and nothing else may happen in between.
   * @throws {FedError} with trust's or revocation's code when the peer is not to be let in.
   */
  authenticate(evidence: PeerEvidence): PeerIdentity;
}
