/** What can go wrong in a hub, beyond what its rooms report themselves. */
import { FedError, type FedErrorInit } from "@fed/core";
import type { ErrorDetails } from "@fed/router";

/** Codes of {@link HubError}. */
export type HubErrorCode =
  | "AGENT_TOKEN_LIMIT"
  | "AGENT_TOKEN_TOO_WIDE"
  | "AGENT_TOKEN_UNKNOWN"
  | "ALREADY_IN_CLUSTER"
  | "APPROVAL_UNKNOWN"
  | "APP_CONFIG_INVALID"
  | "APP_NOT_ALLOWED"
  | "APP_START_FAILED"
  | "APP_UNAVAILABLE"
  | "APP_UNKNOWN"
  | "CONSENT_DENIED"
  | "CONSENT_TIMEOUT"
  | "EXPORT_FAILED"
  | "HTTP_PORT_IN_USE"
  | "HUB_DUPLICATE"
  | "HUB_UNKNOWN"
  | "INPUT_STATE_INVALID"
  | "INPUT_UNANSWERED"
  | "METHOD_NOT_SUPPORTED"
  | "NAME_TAKEN"
  | "NOT_IN_CLUSTER"
  | "NOT_THE_AUTHORITY"
  | "NO_INVITE_ADDRESS"
  | "OAUTH_CONFIG_INVALID"
  | "OAUTH_UNAVAILABLE"
  | "ORIGIN_REFUSED"
  | "OUTCOME_UNKNOWN"
  | "RENEWAL_FAILED"
  | "RENEWAL_TOO_SOON"
  | "REQUEST_INVALID"
  | "REQUEST_TOO_LARGE"
  | "SCOPE_MISSING"
  | "SELF_REVOCATION"
  | "STALE_REVOCATION_VIEW"
  | "STATE_CORRUPT"
  | "STATE_EXISTS"
  | "STATE_LOCKED"
  | "STATE_MISSING"
  | "STATE_UNWRITABLE"
  | "TOOL_CHANGED"
  | "TOOL_FAILED"
  | "TOOL_PINS_FULL"
  | "UNAUTHENTICATED";

/** Thrown by `@fed/hub`. */
export class HubError extends FedError<HubErrorCode> {
  /** Facts beside the code; they travel with the error. */
  readonly details: ErrorDetails | undefined;

  constructor(init: FedErrorInit<HubErrorCode> & { readonly details?: ErrorDetails }) {
    super(init);
    this.details = init.details;
  }
}
