/** The one error type of this room. */
import { FedError, type FedErrorInit } from "@fed/core";
import type { RevocationEntry, RevocationKind } from "./entry.js";

/** What a checker answers about something that is on the list. */
export type RevokedCode = `${Uppercase<RevocationKind>}_REVOKED`;

/** Codes of {@link RevocationError}; README.md says what to do about each. */
export type RevocationErrorCode =
  | RevokedCode
  | "REVOCATION_MALFORMED"
  | "REVOCATION_INVALID_ENTRY"
  | "REVOCATION_DUPLICATE"
  | "REVOCATION_TOO_LARGE"
  | "REVOCATION_WRONG_CLUSTER"
  | "REVOCATION_ROLLBACK"
  | "REVOCATION_FORK"
  | "REVOCATION_UNSAVED"
  | "REVOCATION_CORRUPT";

/** Thrown by `@fed/revocation`. */
export class RevocationError extends FedError<RevocationErrorCode> {
  /** With a `…_REVOKED` code: what the list says. Not in the message, so that a refused peer does not read the reason. */
  readonly entry: RevocationEntry | undefined;

  constructor(init: FedErrorInit<RevocationErrorCode>, entry?: RevocationEntry) {
    super(init);
    this.entry = entry;
  }
}
