/**
 * The issuer's side of a join: proof of the joiner's key first, then the token's one conditional write, then the
 * welcome, then proof that the joiner has it. docs/spec/pairing.md §3.
 */
import { type Clock, type Connection, equalBytes, type HubId, randomBytes, systemClock, toFedError } from "@fed/core";
import { verifyCsr, verifySignature } from "@fed/trust";
import { createDeadline, defaultTimeoutMs } from "./deadline.js";
import { PairingError } from "./errors.js";
import { type JoinChannel, maxWaitingAtIssuer, openJoinChannel } from "./join-channel.js";
import {
  challengeMessage,
  confirmProofInput,
  doneMessage,
  encodeWelcome,
  type JoinClaim,
  joinProofInput,
  readConfirm,
  readJoin,
  type Welcome,
} from "./join-message.js";
import type { TokenBook, TokenRecord } from "./token-book.js";

/** A joiner that has proved its key; its token is still unredeemed when {@link AcceptJoinOptions.admit} sees it. */
export interface JoinRequest {
  readonly hubId: HubId;
  readonly name: string;
  /** Its leaf key, Ed25519, 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Its X25519 static key, 32 bytes; claimed, and proved by no more than the leaf key's signature. */
  readonly noiseKey: Uint8Array;
  /** Roles that the token grants. */
  readonly roles: readonly string[];
}

/** Options of {@link acceptJoin}. */
export interface AcceptJoinOptions {
  readonly tokens: TokenBook;
  /** Pin (see `caPin`) of each CA of this cluster: a joiner that means another cluster is refused. */
  readonly pins: readonly Uint8Array[];
  /** Looks for reasons against, e.g. a name that is taken; throws a FedError to refuse. The token stays good. */
  admit(request: JoinRequest): void;
  /** Makes the joiner a member; called once per redeemed token. */
  enroll(request: JoinRequest): Promise<Welcome>;
  readonly clock?: Clock;
  /** For the whole exchange; default 15 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Speaks the issuer's part on a guest connection and closes it. Resolves once the joiner has confirmed the welcome with
 * its new key. Every refusal is told to the joiner, a store's trouble only as JOIN_FAILED.
 * @throws {PairingError} JOIN_MALFORMED, JOIN_PROOF_INVALID; TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_USED, INVITE_CLOSED;
 * JOIN_TIMEOUT, JOIN_BROKEN_OFF; JOIN_UNCONFIRMED when the joiner was enrolled but anything failed after that.
 * @throws {PeerError} what the joiner refused with. @throws {TrustError} CSR_MALFORMED, CSR_BAD_SIGNATURE, BAD_KEY.
 * @throws {FedError} ABORTED, what `admit` and `enroll` throw, and the store's errors.
 */
export async function acceptJoin(
  connection: Connection,
  options: AcceptJoinOptions,
): Promise<{ request: JoinRequest; token: TokenRecord }> {
  const clock = options.clock ?? systemClock;
  const deadline = createDeadline(clock, options.timeoutMs ?? defaultTimeoutMs, options.signal);
  try {
    const channel = openJoinChannel(connection, { signal: deadline.signal, maxWaiting: maxWaitingAtIssuer });
    return await speak(channel, options);
  } finally {
    deadline.done();
  }
}

async function speak(
  channel: JoinChannel,
  options: AcceptJoinOptions,
): Promise<{ request: JoinRequest; token: TokenRecord }> {
  try {
    const { secret, ...proved } = await receiveClaim(channel, options.pins);
    const { roles } = await options.tokens.peek(secret);
    const request: JoinRequest = { ...proved, roles };
    options.admit(request);
    // Whoever has left or come too late keeps a good token.
    channel.assertOpen();
    const token = await options.tokens.redeem(secret, request.hubId);
    const welcome = await options.enroll(request);
    await handOver(channel, request.publicKey, welcome);
    return { request, token };
  } catch (cause) {
    const error = toFedError(cause);
    channel.refuse(error);
    throw error;
  } finally {
    channel.close();
  }
}

async function receiveClaim(channel: JoinChannel, pins: readonly Uint8Array[]): Promise<Proved> {
  const nonce = randomBytes(32);
  channel.send(challengeMessage(nonce));
  const { claim, proof } = readJoin(await channel.receive("join"));
  const { secret, pin, hubId, name, noiseKey } = claim;
  if (!pins.some((own) => equalBytes(own, pin))) throw unproved("The joiner means to join another cluster.");
  const { publicKey } = verifyCsr(claim.csr);
  assertProof(publicKey, joinProofInput(nonce, claim), proof);
  return { secret, hubId, name, noiseKey, publicKey };
}

type Proved = Omit<JoinClaim, "csr" | "pin"> & { readonly publicKey: Uint8Array };

/** From here on the joiner is a member, whatever happens: every failure says so. */
async function handOver(channel: JoinChannel, publicKey: Uint8Array, welcome: Welcome): Promise<void> {
  try {
    const document = encodeWelcome(welcome);
    await channel.sendDocument("welcome", document);
    assertProof(publicKey, confirmProofInput(document), readConfirm(await channel.receive("confirm")));
  } catch (cause) {
    channel.refuse(toFedError(cause));
    throw new PairingError({
      code: "JOIN_UNCONFIRMED",
      message: "The joiner is a member now, but has not confirmed that it knows.",
      hint: "If it does not come up, revoke it.",
      cause,
    });
  }
  try {
    channel.send(doneMessage);
  } catch {
    // Both sides have proved their keys; a joiner that has left already looks at its own state.
  }
}

function assertProof(publicKey: Uint8Array, input: Uint8Array, proof: Uint8Array): void {
  try {
    verifySignature(publicKey, input, proof);
  } catch (cause) {
    throw unproved("The joiner did not prove that it holds its key.", cause);
  }
}

function unproved(message: string, cause?: unknown): PairingError {
  return new PairingError({ code: "JOIN_PROOF_INVALID", message, hint: "Ask for a new token and join again.", cause });
}
