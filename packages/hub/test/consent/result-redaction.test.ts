import { describe, expect, it } from "vitest";
import { redactResult } from "../../src/consent/result-redaction.js";
import { schemaOfPaths } from "../../src/consent/secret-fields.js";

const listed = [schemaOfPaths(["login.token", "pin"])];

describe("a result without its secret fields", () => {
  it("has them neither in structuredContent nor in any text that repeats them", () => {
    const structured = { login: { user: "ann", token: 'p"lanted/1' }, pin: "42" };
    const result = {
      structuredContent: structured,
      content: [
        { type: "text", text: JSON.stringify(structured) },
        { type: "text", text: `Use p"lanted/1 (or ${encodeURIComponent('p"lanted/1')}) with 42, not 4242.` },
        {
          type: "resource",
          resource: { uri: "x:y", mimeType: "application/json", text: JSON.stringify(structured, undefined, 2) },
        },
        { type: "image", mimeType: "image/png", data: "AAAA" },
      ],
      _meta: { note: `as {"token":${JSON.stringify('p"lanted/1')}}` },
    };
    const shown = redactResult(result, listed) as typeof result;
    expect(shown.structuredContent).toEqual({ login: { user: "ann", token: "[redacted]" }, pin: "[redacted]" });
    expect(JSON.stringify(shown)).not.toMatch(/lanted/);
    expect(shown.content[1]).toEqual({
      type: "text",
      text: "Use [redacted] (or [redacted]) with [redacted], not 4242.",
    });
    expect(shown.content[3]).toEqual(result.content[3]);
    // The app's own is not touched.
    expect(result.structuredContent.pin).toBe("42");
  });

  it("has them not in a text that is JSON alone", () => {
    const result = { content: [{ type: "text", text: '{"pin": 4711, "name": "ann"}' }] };
    expect(redactResult(result, listed)).toEqual({ content: [{ type: "text", text: '{"pin":0,"name":"ann"}' }] });
  });

  it("has them not within the answer about a task, nor in a resource", () => {
    expect(redactResult({ taskId: "1", result: { structuredContent: { pin: "4711" } } }, listed)).toEqual({
      taskId: "1",
      result: { structuredContent: { pin: "[redacted]" } },
    });
    expect(redactResult({ contents: [{ uri: "x:y", text: '{"pin":"4711"}' }] }, listed)).toEqual({
      contents: [{ uri: "x:y", text: '{"pin":"[redacted]"}' }],
    });
  });

  it("is the very same where nothing is secret", () => {
    const result = { content: [{ type: "text", text: "4711" }] };
    expect(redactResult(result, [])).toBe(result);
    expect(redactResult("no object", listed)).toBe("no object");
    expect(redactResult(result, listed)).toEqual(result);
  });

  it("with more texts than its secrets can be looked for in is hidden from there on, however short each is", () => {
    const secrets = Array.from({ length: 200 }, (_, i) => `secret-${i}`);
    const content = Array.from({ length: 20_000 }, (_, i) => ({ type: "text", text: `text ${i}` }));
    const shown = redactResult({ structuredContent: { pins: secrets }, content }, [schemaOfPaths(["pins"])]);
    const texts = (shown as { readonly content: readonly { readonly text: string }[] }).content.map(({ text }) => text);
    expect(texts[0]).toBe("text 0");
    expect(texts.at(-1)).toBe("[redacted]");
  });

  it("with more secrets than can be looked for is hidden", () => {
    const pins = Array.from({ length: 2000 }, (_, index) => ({ pin: `secret-${index}` }));
    const result = { structuredContent: pins, content: [{ type: "text", text: `${"x".repeat(100_000)} secret-7` }] };
    expect(redactResult(result, listed)).toMatchObject({ content: [{ type: "text", text: "[redacted]" }] });
  });
});
