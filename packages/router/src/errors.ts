/** Errors of this package, and errors that another hub answered with. */
import { FedError, type FedErrorInit, type HubId, isFedError, type Json, PeerError } from "@fed/core";

/** Codes of {@link RouterError}. */
export type RouterErrorCode =
  | "APP_AMBIGUOUS"
  | "APP_FAILED"
  | "APP_UNKNOWN"
  | "AUDIT_UNAVAILABLE"
  | "BODY_TOO_LARGE"
  | "BUSY"
  | "DEADLINE_EXCEEDED"
  | "HUB_REMOVED"
  | "HUB_UNKNOWN"
  | "HUB_UNREACHABLE"
  | "IDEMPOTENCY_MISMATCH"
  | "OUTCOME_UNKNOWN"
  | "PATH_DEAD"
  | "PATH_REPLACED"
  | "RATE_LIMITED"
  | "REMOTE_PROTOCOL"
  | "REQUEST_MALFORMED"
  | "RESULT_TOO_LARGE"
  | "ROUTER_CLOSED"
  | "SELF_CONNECTED"
  | "SHARING_DENIED"
  | "UNKNOWN_STREAM_KIND";

/** Facts beside a code, e.g. `{ rule }` of SHARING_DENIED. Travels with the error; at most 16 KiB of JSON. */
export type ErrorDetails = { readonly [key: string]: Json };

/** Thrown by `@fed/router`. */
export class RouterError extends FedError<RouterErrorCode> {
  readonly details: ErrorDetails | undefined;

  constructor(init: FedErrorInit<RouterErrorCode> & { readonly details?: ErrorDetails }) {
    super(init);
    this.details = init.details;
  }
}

/** What another hub answered instead of a result: its own code, so any SCREAMING_SNAKE_CASE string. */
export class RemoteError extends PeerError {
  /** The hub that answered. */
  readonly hub: HubId;
  /** The app that was called; undefined for a listing. */
  readonly app: string | undefined;
  readonly details: ErrorDetails | undefined;

  constructor(
    init: FedErrorInit<string> & {
      readonly hub: HubId;
      readonly app?: string | undefined;
      readonly details?: ErrorDetails | undefined;
    },
  ) {
    super(init);
    this.hub = init.hub;
    this.app = init.app;
    this.details = init.details;
  }
}

/** The error an app ended with: its own FedError, or APP_FAILED around anything else, whose text stays on this hub. */
export function appError(cause: unknown): FedError {
  if (isFedError(cause)) return cause;
  return new RouterError({ code: "APP_FAILED", message: "The app failed without a result.", cause });
}

/** The `details` of any error, or report of one, that has some. */
export function detailsOf(error: unknown): ErrorDetails | undefined {
  const details = (error as { details?: unknown }).details;
  return typeof details === "object" && details !== null && !Array.isArray(details)
    ? (details as ErrorDetails)
    : undefined;
}
