/** The issuer's side of a join: proof of the joiner's key first, then one conditional write, then the welcome. */
import { type Clock, type Connection, encodeBase64Url, type HubId, randomBytes, systemClock } from "@fed/core";
import { sha256, verifyCsr, verifySignature } from "@fed/trust";
import { PairingError } from "./errors.js";
import {
  asJoinError,
  bytesOf,
  confirmProofInput,
  joinProofInput,
  malformed,
  openJoinChannel,
  refuse,
  textOf,
  type Welcome,
} from "./join-message.js";
import type { TokenBook, TokenRecord } from "./token-book.js";

/** A joiner that has proved its key; its token is still unredeemed when {@link AcceptJoinOptions.admit} sees it. */
export interface JoinRequest {
  readonly hubId: HubId;
  readonly name: string;
  /** Its leaf key, Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Its X25519 static key, 32 bytes. */
  readonly noiseKey: Uint8Array;
  /** Roles that the token grants. */
  readonly roles: readonly string[];
}

/** Options of {@link acceptJoin}. */
export interface AcceptJoinOptions {
  readonly tokens: TokenBook;
  /** Looks for reasons against, e.g. a name that is taken; throws a FedError to refuse. The token stays good. */
  admit(request: JoinRequest): void;
  /** Makes the joiner a member; called once per redeemed token. */
  enroll(request: JoinRequest): Promise<Welcome>;
  readonly clock?: Clock;
  /** For the whole exchange; default 15 s. */
  readonly timeoutMs?: number;
}

/**
 * Speaks the issuer's part on a guest connection and closes it.
 * Resolves once the joiner has confirmed with its new key; every refusal is told to the joiner first.
 * @throws {PairingError} TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_USED, INVITE_CLOSED, JOIN_PROOF_INVALID, JOIN_MALFORMED, JOIN_TIMEOUT.
 */
export async function acceptJoin(
  connection: Connection,
  options: AcceptJoinOptions,
): Promise<{ request: JoinRequest; token: TokenRecord }> {
  const clock = options.clock ?? systemClock;
  const deadline = new AbortController();
  const timer = clock.setTimer(options.timeoutMs ?? 15_000, () => deadline.abort());
  try {
    const channel = openJoinChannel(connection, deadline.signal);
    const nonce = randomBytes(32);
    channel.send({ t: "challenge", nonce: encodeBase64Url(nonce) });

    const { message } = await channel.receive("join");
    if (message.v !== 1) throw malformed("Only version 1 is spoken.");
    const secret = textOf(message, "secret", /^[a-z2-7]{26}$/);
    const hubId = textOf(message, "hubId", /^[a-z2-7]{26}$/);
    const name = textOf(message, "name", /^[a-z0-9][a-z0-9-]{0,31}$/);
    const csr = bytesOf(message, "csr");
    const noiseKey = bytesOf(message, "noise", 32);
    const publicKey = verifyCsr(csr).publicKey;
    prove(publicKey, joinProofInput(nonce, { hubId, name, noise: noiseKey, csr }), bytesOf(message, "proof", 64));

    const open = await options.tokens.peek(secret);
    const request: JoinRequest = { hubId, name, publicKey, noiseKey, roles: open.roles };
    options.admit(request);
    const token = await options.tokens.redeem(secret, hubId);
    const welcome = await options.enroll(request);

    const sent = channel.send({
      t: "welcome",
      leaf: encodeBase64Url(welcome.leaf),
      manifests: welcome.manifests,
      clusterKey: encodeBase64Url(welcome.clusterKey),
      revocations: welcome.revocations,
    });
    const confirm = await channel.receive("confirm");
    prove(publicKey, confirmProofInput(sent), bytesOf(confirm.message, "proof", 64));
    channel.send({ t: "done" });
    connection.close();
    return { request, token };
  } catch (error) {
    const reason = asJoinError(error);
    refuse(connection, reason);
    throw reason;
  } finally {
    timer.cancel();
  }
}

function prove(publicKey: Uint8Array, input: Uint8Array, proof: Uint8Array): void {
  try {
    verifySignature(publicKey, input, proof);
  } catch (cause) {
    throw new PairingError({ code: "JOIN_PROOF_INVALID", message: "The joiner did not prove that it holds its key.", cause });
  }
}

/** SHA-256 of a CA certificate's DER, 32 bytes: the pin in a pairing token. */
export function caPin(ca: Uint8Array): Uint8Array {
  return sha256(ca);
}
