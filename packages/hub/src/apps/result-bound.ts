/** How much one message of an app may have, whatever it comes over. */
import { RouterError } from "@fed/router";

/** A message that is read whole. */
export const maxMessageBytes: number = 8 * 1024 * 1024;

/** What takes the place of a result of `bytes` and more. */
export function tooLarge(app: string, bytes: number): RouterError {
  return new RouterError({
    code: "RESULT_TOO_LARGE",
    message: `App ${app} answered with at least ${bytes} bytes; at most ${maxMessageBytes} are taken.`,
    hint: "Ask it for less at a time.",
  });
}
