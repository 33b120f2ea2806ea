/** One side's judgement of the other after TLS is up. */
import type { TLSSocket } from "node:tls";
import { CoreError, type HubId, type PeerAuthenticator, type PeerIdentity } from "@fed/core";
import { tlsEvidence } from "./credentials.js";
import { LanError } from "./errors.js";

/**
 * The identity of the member at the other end: trust accepts it and OpenSSL's own chain check agrees.
 * Trust is asked first because its codes say more.
 * @throws {LanError} SESSION_RESUMED, CERTIFICATE_MISSING, CERTIFICATE_UNTRUSTED, SELF_CONNECTION.
 * @throws {FedError} UNEXPECTED_PEER, or the authenticator's code.
 */
export function judgeMember(
  socket: TLSSocket,
  authenticator: PeerAuthenticator,
  hubs: { readonly self: HubId; readonly expect?: HubId | undefined },
): PeerIdentity {
  const peer = authenticator.authenticate(tlsEvidence(socket));
  if (!socket.authorized) {
    throw new LanError({
      code: "CERTIFICATE_UNTRUSTED",
      message: `The certificate does not verify under the trusted CAs (${reasonOf(socket.authorizationError)}).`,
    });
  }
  if (peer.hubId === hubs.self) {
    throw new LanError({ code: "SELF_CONNECTION", message: "This address leads back to this hub." });
  }
  if (hubs.expect !== undefined && peer.hubId !== hubs.expect) {
    throw new CoreError({
      code: "UNEXPECTED_PEER",
      message: `Hub ${peer.hubId} answered where ${hubs.expect} was expected.`,
      hint: "The address now belongs to another hub; use a fresh candidate.",
    });
  }
  return peer;
}

/** Typed as Error, but a string such as CERT_HAS_EXPIRED or, after CRL checks, an Error with a code. */
function reasonOf(error: unknown): string {
  if (error instanceof Error) return (error as NodeJS.ErrnoException).code ?? error.message;
  return String(error);
}
