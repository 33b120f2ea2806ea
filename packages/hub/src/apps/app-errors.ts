/** Why an app cannot be asked. */
import type { FedError } from "@fed/core";
import { HubError } from "../errors.js";

/** The app has ended by itself; `printed` is the last it said on standard error, or "". */
export function appEnded(app: string, why: string | undefined, printed: string): HubError {
  const said = printed === "" ? "." : ` — it printed: ${printed}`;
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `App ${app} does not run: ${why ?? "it ended its side of the conversation"}${said}`,
    hint: "It is started again by itself; `fed apps logs` shows what it printed.",
    retryable: true,
  });
}

/** Its operator wants it so. */
export function appStopped(app: string): HubError {
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `App ${app} was stopped by its operator.`,
    hint: `Its operator starts it again with \`fed apps launch ${app}\`.`,
  });
}

/** It does not run because of `error`, and is not tried again before `waitMs`. */
export function appNotRunning(app: string, error: FedError | undefined, waitMs: number): HubError {
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: error?.message ?? `App ${app} does not run.`,
    hint: `It is started again in ${Math.ceil(waitMs / 1000)} s at the earliest; try again then.`,
    retryable: true,
    cause: error,
  });
}
