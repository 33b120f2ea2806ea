/** Asserting on an error's code, never on its words. */
import { expect } from "vitest";
import { type FedError, isFedError } from "../errors.js";

/**
 * The FedError that `subject` (a promise, or a function to call) ends in, asserted to carry `code`.
 * Await it, also for a function that throws at once. Fails the test when nothing or something else is thrown.
 */
export async function expectCode(subject: PromiseLike<unknown> | (() => unknown), code: string): Promise<FedError> {
  let thrown: unknown;
  try {
    await (typeof subject === "function" ? subject() : subject);
  } catch (error) {
    thrown = error;
  }
  if (thrown === undefined) expect.fail(`Expected ${code}, but nothing was thrown.`);
  if (!isFedError(thrown)) expect.fail(`Expected ${code}, but this was thrown: ${String(thrown)}`);
  expect(thrown.code, thrown.message).toBe(code);
  return thrown;
}
