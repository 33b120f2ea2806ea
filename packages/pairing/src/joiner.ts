/**
 * The joiner's side: the pin is checked before the secret leaves, and only a CSR travels, never a private key.
 * docs/spec/pairing.md §3.
 */
import {
  abortedError,
  type Clock,
  equalBytes,
  type FedError,
  type GuestDial,
  type HubId,
  systemClock,
  throwIfAborted,
  toFedError,
} from "@fed/core";
import { createCsr, createSigner, type KeyPair, type Signer } from "@fed/trust";
import { caPin } from "./ca-pin.js";
import { createDeadline, defaultTimeoutMs } from "./deadline.js";
import { PairingError } from "./errors.js";
import { type JoinChannel, maxWaitingAtJoiner, openJoinChannel } from "./join-channel.js";
import {
  confirmMessage,
  confirmProofInput,
  decodeWelcome,
  type JoinClaim,
  joinMessage,
  joinProofInput,
  readChallenge,
  type Welcome,
} from "./join-message.js";
import { type PairingToken, parsePairingToken } from "./pairing-token.js";

/** Options of {@link join}. */
export interface JoinOptions {
  /** How to reach a guest address, by its scheme (`lan`, `relay`). */
  readonly dials: Readonly<Record<string, GuestDial>>;
  readonly hubId: HubId;
  readonly name: string;
  /** The key the leaf will certify. */
  readonly key: KeyPair;
  /** X25519 static public key, 32 bytes. */
  readonly noiseKey: Uint8Array;
  /**
   * Verifies that `leaf` (DER) was signed by `ca` (DER) for a hub of that CA's cluster; throws otherwise.
   * Called with the responder's chain, whose CA matches the token's pin.
   */
  verifyIssuer(leaf: Uint8Array, ca: Uint8Array): void;
  /** Verifies the welcome and keeps it, before the joiner confirms; throws to break off. */
  accept(welcome: Welcome, pin: Uint8Array): Promise<void>;
  readonly clock?: Clock;
  /** For the whole exchange at one address; default 15 s. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** The right hub, before it was told anything. */
interface Meeting {
  readonly channel: JoinChannel;
  readonly nonce: Uint8Array;
}

/**
 * Redeems `tokenText` at the first of its addresses where the right hub answers. Resolves once `accept` has kept the
 * welcome and the issuer has seen proof of the new key. After the secret was sent no other address is tried.
 * @returns the address that answered.
 * @throws {PairingError} TOKEN_MALFORMED; when no address leads on: PIN_MISMATCH or ISSUER_INVALID if another hub
 * answered at one, else ISSUER_UNREACHABLE; JOIN_MALFORMED, JOIN_TIMEOUT, JOIN_BROKEN_OFF; JOIN_UNCONFIRMED when
 * `accept` has kept the welcome but anything failed after that.
 * @throws {PeerError} what the issuer refused with, e.g. TOKEN_USED. @throws {FedError} ABORTED, what `accept` throws.
 */
export async function join(tokenText: string, options: JoinOptions): Promise<string> {
  const token = parsePairingToken(tokenText);
  const signer = createSigner(options.key.secretKey);
  const csr = await createCsr({ key: options.key });
  const { hubId, name, noiseKey, signal } = options;
  const claim: JoinClaim = { secret: token.secret, pin: token.pin, hubId, name, csr, noiseKey };
  let impostor: FedError | undefined;
  let failure: FedError | undefined;
  for (const hint of token.hints) {
    throwIfAborted(signal);
    const scheme = hint.slice(0, hint.indexOf(":"));
    if (!Object.hasOwn(options.dials, scheme)) continue;
    const deadline = createDeadline(options.clock ?? systemClock, options.timeoutMs ?? defaultTimeoutMs, signal);
    try {
      const meeting = await meet(options.dials[scheme]!, hint, token, options, deadline.signal).catch((cause) => {
        if (signal?.aborted) throw abortedError(signal);
        // Nothing secret was sent yet, so the next address may be tried; of an impostor the operator must hear.
        failure = toFedError(cause);
        if (isImpostor(failure)) impostor ??= failure;
        return undefined;
      });
      if (!meeting) continue;
      await redeem(meeting, claim, signer, options);
      return hint;
    } finally {
      deadline.done();
    }
  }
  throw impostor ?? unreachable(failure);
}

async function meet(
  dial: GuestDial,
  hint: string,
  token: PairingToken,
  options: JoinOptions,
  signal: AbortSignal,
): Promise<Meeting> {
  const connection = await dial(hint, {
    signal,
    authenticateResponder: (chain) => judgeIssuer(chain, token, options),
  });
  const channel = openJoinChannel(connection, { signal, maxWaiting: maxWaitingAtJoiner });
  try {
    return { channel, nonce: readChallenge(await channel.receive("challenge")) };
  } catch (cause) {
    channel.refuse(toFedError(cause));
    throw cause;
  }
}

function judgeIssuer(chain: readonly Uint8Array[], token: PairingToken, options: JoinOptions): void {
  const [leaf, ...issuers] = chain;
  const ca = issuers.find((certificate) => equalBytes(caPin(certificate), token.pin));
  if (!leaf || !ca) {
    throw new PairingError({
      code: "PIN_MISMATCH",
      message: "The hub that answered does not belong to the cluster that made this token.",
      hint: "Nothing was sent to it. Ask for a new token, and check that nobody is in between.",
    });
  }
  try {
    options.verifyIssuer(leaf, ca);
  } catch (cause) {
    throw new PairingError({
      code: "ISSUER_INVALID",
      message: `The certificate of the hub that answered does not verify: ${toFedError(cause).message}`,
      hint: "Nothing was sent to it. Check the clocks of both hubs, and that nobody is in between.",
      cause,
    });
  }
}

async function redeem({ channel, nonce }: Meeting, claim: JoinClaim, signer: Signer, options: JoinOptions) {
  try {
    channel.send(joinMessage(claim, signer.sign(joinProofInput(nonce, claim))));
    const document = await channel.receiveDocument("welcome");
    await options.accept(decodeWelcome(document), claim.pin);
    await confirm(channel, signer.sign(confirmProofInput(document)));
  } catch (cause) {
    const error = toFedError(cause);
    channel.refuse(error);
    throw error;
  } finally {
    channel.close();
  }
}

/** The welcome is kept and this hub a member, whatever happens: every failure says so. */
async function confirm(channel: JoinChannel, proof: Uint8Array): Promise<void> {
  try {
    channel.send(confirmMessage(proof));
    await channel.receive("done");
  } catch (cause) {
    channel.refuse(toFedError(cause));
    throw new PairingError({
      code: "JOIN_UNCONFIRMED",
      message: "This hub is a member now, but the inviting hub has not said that it knows.",
      hint: "See `fed cluster status` and `fed peers`.",
      cause,
    });
  }
}

function isImpostor(error: FedError): boolean {
  return error instanceof PairingError && (error.code === "PIN_MISMATCH" || error.code === "ISSUER_INVALID");
}

function unreachable(failure: FedError | undefined): PairingError {
  return new PairingError({
    code: "ISSUER_UNREACHABLE",
    message: failure
      ? `The inviting hub could not be reached: ${failure.message}`
      : "This hub cannot use any address in the token.",
    hint: "Check that the inviting hub is up and that both are on one network, or that both use one relay.",
    retryable: true,
    cause: failure,
  });
}
