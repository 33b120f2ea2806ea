/** The errors of this package. */
import { FedError } from "@fed/core";

/** Codes of {@link RelayHostError}. */
export type RelayHostErrorCode =
  | "ADMIT_FILE_UNREADABLE"
  | "CAPTURE_FAILED"
  | "LISTEN_ADDRESS_INVALID"
  | "NATS_NOT_INSTALLED"
  | "NATS_UNREACHABLE"
  | "NODES_INVALID"
  | "RELAY_LISTEN_FAILED"
  | "RELAY_PORT_IN_USE";

/** Thrown by `@fed/relay`. */
export class RelayHostError extends FedError<RelayHostErrorCode> {}
