/** Waiting for something that others go on waiting for. */
import { FedError, isFedError } from "@fed/core";

/** `work`, or the reason of `signal` as soon as it aborts. Leaves no listener behind. */
export async function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => {
    const cause: unknown = signal.reason;
    aborted.reject(isFedError(cause) ? cause : new FedError({ code: "ABORTED", message: "The call was cancelled." }));
  };
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
