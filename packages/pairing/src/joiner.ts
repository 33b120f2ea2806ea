/** The joiner's side: the pin is checked before the secret leaves, and only a CSR travels, never a private key. */
import {
  abortedError,
  type Clock,
  type Connection,
  encodeBase64Url,
  equalBytes,
  type FedError,
  type GuestDial,
  type HubId,
  systemClock,
  throwIfAborted,
  toFedError,
} from "@fed/core";
import { createCsr, createSigner, type KeyPair } from "@fed/trust";
import { PairingError } from "./errors.js";
import { caPin } from "./join-issuer.js";
import { asJoinError, bytesOf, confirmProofInput, joinProofInput, malformed, openJoinChannel, refuse, type Welcome } from "./join-message.js";
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
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Redeems `tokenText` at the first of its hints that answers. Resolves once the issuer has seen proof of the new key
 * and `accept` has kept the welcome.
 * @returns the hint that answered.
 * @throws {PairingError} TOKEN_MALFORMED, PIN_MISMATCH, JOIN_TIMEOUT, JOIN_MALFORMED, or the issuer's refusal code.
 */
export async function join(tokenText: string, options: JoinOptions): Promise<string> {
  const token = parsePairingToken(tokenText);
  let failure: FedError | undefined;
  for (const hint of token.hints) {
    throwIfAborted(options.signal);
    const dial = options.dials[hint.slice(0, hint.indexOf(":"))];
    if (!dial) continue;
    let connection: Connection;
    try {
      connection = await dial(hint, {
        signal: options.signal,
        authenticateResponder: (chain) => checkPin(chain, token, options),
      });
    } catch (error) {
      if (options.signal?.aborted) throw abortedError(options.signal);
      failure = toFedError(error);
      // Somebody else answers there: worth trying the other hints, but it is this that the operator must hear of.
      if (failure.code === "PIN_MISMATCH") break;
      continue;
    }
    await speak(connection, token, options);
    return hint;
  }
  if (failure?.code === "PIN_MISMATCH") throw failure;
  throw new PairingError({
    code: "JOIN_REFUSED",
    message: failure ? `The inviting hub could not be reached: ${failure.message}` : "This hub cannot use any address in the token.",
    hint: "Check that the inviting hub is up and that both are on one network, or name the cluster's relay with --relay.",
    retryable: true,
    cause: failure,
  });
}

function checkPin(chain: readonly Uint8Array[], token: PairingToken, options: JoinOptions): void {
  const [leaf] = chain;
  const ca = chain.slice(1).find((certificate) => equalBytes(caPin(certificate), token.pin));
  if (!leaf || !ca) {
    throw new PairingError({
      code: "PIN_MISMATCH",
      message: "The hub that answered does not belong to the cluster that made this token.",
      hint: "Nothing was sent to it. Ask for a new token, and check that nobody is in between.",
    });
  }
  options.verifyIssuer(leaf, ca);
}

async function speak(connection: Connection, token: PairingToken, options: JoinOptions): Promise<void> {
  const clock = options.clock ?? systemClock;
  const deadline = new AbortController();
  const timer = clock.setTimer(options.timeoutMs ?? 15_000, () => deadline.abort());
  options.signal?.addEventListener("abort", () => connection.close(), { once: true });
  try {
    const channel = openJoinChannel(connection, deadline.signal);
    const challenge = await channel.receive("challenge");
    const signer = createSigner(options.key.secretKey);
    const csr = await createCsr({ key: options.key });
    const { hubId, name, noiseKey: noise } = options;
    channel.send({
      t: "join",
      v: 1,
      secret: token.secret,
      hubId,
      name,
      csr: encodeBase64Url(csr),
      noise: encodeBase64Url(noise),
      proof: encodeBase64Url(signer.sign(joinProofInput(bytesOf(challenge.message, "nonce", 32), { hubId, name, noise, csr }))),
    });
    const { message, bytes } = await channel.receive("welcome", { maxBytes: connection.maxMessageBytes });
    if (!Array.isArray(message.manifests)) throw malformed("manifests are missing.");
    await options.accept(
      {
        leaf: bytesOf(message, "leaf"),
        manifests: message.manifests,
        clusterKey: bytesOf(message, "clusterKey", 32),
        revocations: message.revocations ?? null,
      },
      token.pin,
    );
    channel.send({ t: "confirm", proof: encodeBase64Url(signer.sign(confirmProofInput(bytes))) });
    await channel.receive("done");
    connection.close();
  } catch (error) {
    const reason = asJoinError(error);
    refuse(connection, reason);
    throw reason;
  } finally {
    timer.cancel();
  }
}
