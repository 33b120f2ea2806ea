/** An authenticator that a test can turn against everybody. */
import type { FedError } from "../errors.js";
import type { PeerAuthenticator } from "../identity.js";

/** See {@link refusableAuthenticator}. */
export interface RefusableAuthenticator extends PeerAuthenticator {
  /** From now on everybody is refused with `error`; undefined: `inner` judges again. */
  refuse(error: FedError | undefined): void;
}

/** Judges as `inner` does until told to refuse. */
export function refusableAuthenticator(inner: PeerAuthenticator): RefusableAuthenticator {
  let refusal: FedError | undefined;
  return {
    authenticate(evidence) {
      if (refusal) throw refusal;
      return inner.authenticate(evidence);
    },
    refuse(error) {
      refusal = error;
    },
  };
}
