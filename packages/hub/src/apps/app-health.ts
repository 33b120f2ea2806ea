/** How an app of this hub is, for its operator. */
import type { AppStatus } from "@fed/router";

/** One app of this hub. Times are Unix milliseconds. */
export interface AppHealth {
  readonly app: string;
  readonly kind: "command" | "url" | "in-process";
  readonly start: "demand" | "eager";
  readonly status: AppStatus;
  /** How often it was started after the first time. */
  readonly restarts: number;
  /** Requests that it works on now. */
  readonly inFlight: number;
  /** Of what runs now. */
  readonly startedAtMs?: number;
  readonly pid?: number;
  /** The revision of MCP that is spoken with it. */
  readonly revision?: string;
  /** How many tools it has, as far as it was ever asked. */
  readonly tools?: number;
  /** The last thing that went wrong; it stays when all is well again. */
  readonly lastError?: {
    readonly code: string;
    readonly message: string;
    readonly hint?: string;
    readonly atMs: number;
  };
}
