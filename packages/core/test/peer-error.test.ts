import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeUtf8, FedError, type Json, oneLine, readErrorReport, reportError } from "../src/index.js";

describe("reportError", () => {
  const text = fc.string({ unit: "binary", maxLength: 900 });
  const error = fc
    .record({ code: fc.constantFrom("BUSY", "A".repeat(64)), message: text, hint: text, retryable: fc.boolean() })
    .map((init) => new FedError(init));

  it("is read again as it was told, below 2 KiB, on one line", () => {
    fc.assert(
      fc.property(error, (error) => {
        const report = reportError(error);
        expect(readErrorReport(report as unknown as Json)).toEqual(report);
        expect(report.retryable).toBe(error.retryable || undefined);
        expect(encodeUtf8(JSON.stringify(report)).length).toBeLessThanOrEqual(2048);
        expect(report.message + report.hint).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\p{Bidi_C}]/u);
      }),
      { numRuns: 150 },
    );
  });

  it("cuts at the limits given, and sends no code that a peer would not take", () => {
    const long = new FedError({ code: "not a code", message: "m".repeat(500), hint: "h".repeat(300) });
    expect(reportError(long)).toEqual({ code: "INTERNAL", message: "m".repeat(400), hint: "h".repeat(200) });
    expect(reportError(long, { message: 3, hint: 2 })).toEqual({ code: "INTERNAL", message: "mmm", hint: "hh" });
  });
});

describe("readErrorReport", () => {
  it("ignores what it does not know, and cuts what a peer did not cut", () => {
    const told = { code: "NO", message: `a\u001b[2J\u202e${"m".repeat(500)}`, hint: "h\n".repeat(500), more: 1 };
    const report = readErrorReport(told)!;
    expect(report).toEqual({ code: "NO", message: `a [2J ${"m".repeat(394)}`, hint: "h ".repeat(100) });
    expect(readErrorReport(told, { message: 5, hint: 1 })).toEqual({ code: "NO", message: "a [2J", hint: "h" });
  });

  it.each<[string, Json]>([
    ["null", null],
    ["a list", []],
    ["a text", "NO"],
    ["no code", { message: "m" }],
    ["a code in lower case", { code: "no", message: "m" }],
    ["a code of 65 characters", { code: "A".repeat(65), message: "m" }],
    ["a code with a line feed", { code: "NO\n", message: "m" }],
    ["a code that is a number", { code: 1, message: "m" }],
    ["no message", { code: "NO" }],
    ["a hint that is no text", { code: "NO", message: "m", hint: 1 }],
    ["retryable as text", { code: "NO", message: "m", retryable: "true" }],
  ])("takes no report from %s", (_, value) => {
    expect(readErrorReport(value)).toBeUndefined();
  });
});

describe("oneLine", () => {
  it("never leaves half a character", () => {
    expect(oneLine("ab\u{1f600}", 3)).toBe("ab\ufffd");
  });

  it("takes out what moves the cursor, turns the text or cannot be seen, and keeps joiners", () => {
    expect(oneLine("a\u0000b\u007fc\u009bd\u2028e\u202ef\u2067g\u{e0041}h\ufeffi", 99)).toBe("a b c d e f g h i");
    expect(oneLine("\u{1f469}\u200d\u{1f52c} \u0646\u200c\u0627", 99)).toBe(
      "\u{1f469}\u200d\u{1f52c} \u0646\u200c\u0627",
    );
  });
});
