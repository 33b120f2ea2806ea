import { describe, expect, it } from "vitest";
import { abortedError, CoreError, FedError, isFedError, throwIfAborted, toFedError } from "../src/index.js";

describe("FedError", () => {
  it("carries code, message, hint, cause and whether to retry", () => {
    const cause = new TypeError("below");
    const error = new CoreError({ code: "CLOSED", message: "It is closed.", hint: "Open it.", retryable: true, cause });
    expect(error).toMatchObject({ code: "CLOSED", hint: "Open it.", retryable: true, name: "CoreError" });
    expect(error.message).toBe("It is closed.");
    expect(error.cause).toBe(cause);
    expect(error).toBeInstanceOf(FedError);
    expect(error).toBeInstanceOf(Error);
  });

  it("is not retryable, and has no hint and no cause, unless it says so", () => {
    const error = new FedError({ code: "X", message: "x" });
    expect(error.retryable).toBe(false);
    expect(error.hint).toBeUndefined();
    expect("cause" in error).toBe(false);
  });
});

describe("isFedError", () => {
  it("knows FedErrors of another copy of this package by their mark alone", () => {
    const foreign = Object.defineProperty(new Error("from elsewhere"), Symbol.for("fed.error"), { value: true });
    expect(isFedError(foreign)).toBe(true);
    expect(isFedError(new CoreError({ code: "CLOSED", message: "x" }))).toBe(true);
  });

  it("takes nothing else for one", () => {
    const others = [undefined, null, "CLOSED", 1, {}, new Error("x"), { code: "CLOSED", message: "x" }, () => {}];
    for (const other of others) expect(isFedError(other)).toBe(false);
  });

  it("does not take JSON for one", () => {
    const error = new CoreError({ code: "CLOSED", message: "x" });
    expect(isFedError(JSON.parse(JSON.stringify(error)))).toBe(false);
  });
});

describe("toFedError", () => {
  it("keeps a FedError and wraps all else as INTERNAL", () => {
    const error = new CoreError({ code: "CLOSED", message: "x" });
    expect(toFedError(error)).toBe(error);
    for (const cause of [new TypeError("secret"), "text", undefined, null]) {
      const wrapped = toFedError(cause);
      expect(wrapped.code).toBe("INTERNAL");
      expect(wrapped.cause).toBe(cause);
      expect(wrapped.message).not.toContain("secret");
    }
  });
});

describe("abort signals", () => {
  it("throwIfAborted throws only for a signal that has fired", () => {
    throwIfAborted(undefined);
    throwIfAborted(new AbortController().signal);
    expect(() => throwIfAborted(AbortSignal.abort())).toThrow(CoreError);
  });

  it("a reason that is a FedError is passed on; any other becomes the cause of ABORTED", () => {
    const reason = new CoreError({ code: "DEADLINE_EXCEEDED", message: "Too slow." });
    expect(abortedError(AbortSignal.abort(reason))).toBe(reason);
    expect(abortedError(AbortSignal.abort("stop"))).toMatchObject({ code: "ABORTED", cause: "stop" });
  });
});
