import { describe, expect, it } from "vitest";
import {
  spanContextOf,
  surroundingContext,
  underHeaders,
  withTraceContext,
} from "../../src/telemetry/trace-context.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const spanId = "b7ad6b7169203331";
const traceparent = `00-${traceId}-${spanId}-01`;
const known = { traceId, spanId, traceFlags: 1, isRemote: true };

describe("traceparent", () => {
  it.each([
    { text: traceparent, flags: 1 },
    { text: `00-${traceId}-${spanId}-00`, flags: 0 },
    // Flags of days to come are not passed on as if they were understood.
    { text: `00-${traceId}-${spanId}-ff`, flags: 3 },
    { text: `cc-${traceId}-${spanId}-01`, flags: 1 },
    { text: `cc-${traceId}-${spanId}-01-what-comes-later`, flags: 1 },
  ])("is read: $text", ({ text, flags }) => {
    expect(spanContextOf({ traceparent: text })).toEqual({ ...known, traceFlags: flags });
  });

  it.each([
    "",
    "00",
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-01-more`,
    `00-${traceId}-${spanId}-1`,
    `ff-${traceId}-${spanId}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${"0".repeat(32)}-${spanId}-01`,
    `00-${traceId}-${"0".repeat(16)}-01`,
    ` ${traceparent}`,
    `${traceparent}\n`,
    `cc-${traceId}-${spanId}-01${"-".repeat(100_000)}`.replace("-01", "-01x"),
    42,
    null,
    [traceparent, traceparent],
  ])("is dropped: %j", (text) => {
    expect(spanContextOf({ traceparent: text })).toBeUndefined();
  });

  it("is in an object or nowhere", () => {
    for (const carrier of [undefined, null, "x", [], 1]) expect(spanContextOf(carrier)).toBeUndefined();
  });
});

describe("tracestate", () => {
  const stateOf = (tracestate: unknown) => spanContextOf({ traceparent, tracestate })?.traceState?.serialize();

  it("goes on as it came, up to 512 characters", () => {
    expect(stateOf("vendor=1,other@x=two")).toBe("vendor=1,other@x=two");
    const longest = `vendor=${"v".repeat(505)}`.slice(0, 7 + 250);
    expect(stateOf(longest)).toBe(longest);
    expect(stateOf(`a=1,${"b=1,".repeat(200)}`)).toBeUndefined();
    expect(stateOf("not a list")).toBeUndefined();
    expect(stateOf(7)).toBeUndefined();
  });
});

describe("a request's params", () => {
  it("without context stay what they are", () => {
    const params = { name: "x", _meta: { own: 1 } };
    expect(withTraceContext(params, undefined, { baggage: true })).toBe(params);
  });

  it("get the context of this hop in place of another, and keep the rest of _meta", () => {
    const params = { name: "x", _meta: { own: 1, traceparent: "bad", tracestate: "old=1" } };
    expect(withTraceContext(params, known, { baggage: true })).toEqual({ name: "x", _meta: { own: 1, traceparent } });
    expect(params._meta.traceparent).toBe("bad");
    expect(withTraceContext({ name: "x", _meta: { traceparent: "bad" } }, undefined, { baggage: true })).toEqual({
      name: "x",
    });
  });

  it.each([
    { baggage: "user=alice", passed: true },
    { baggage: Array.from({ length: 64 }, (_, index) => `k${index}=v`).join(","), passed: true },
    { baggage: `k=${"v".repeat(8190)}`, passed: true },
    { baggage: Array.from({ length: 65 }, (_, index) => `k${index}=v`).join(","), passed: false },
    { baggage: `k=${"v".repeat(8191)}`, passed: false },
    { baggage: "user=al\r\nice", passed: false },
    { baggage: { user: "alice" }, passed: false },
  ])("keep baggage within its bounds: $passed", ({ baggage, passed }) => {
    const { _meta } = withTraceContext({ _meta: { baggage } } as Record<string, unknown>, known, { baggage: true });
    expect(_meta).toEqual(passed ? { traceparent, baggage } : { traceparent });
    expect(withTraceContext({ _meta: { baggage } }, known, { baggage: false })._meta).toEqual({ traceparent });
  });
});

describe("HTTP headers", () => {
  it("surround what is done for the request, and nothing else", async () => {
    const seen = await underHeaders({ traceparent }, async () => {
      await Promise.resolve();
      return surroundingContext();
    });
    expect(seen).toEqual(known);
    expect(surroundingContext()).toBeUndefined();
    expect(underHeaders({ traceparent: "bad" }, surroundingContext)).toBeUndefined();
    expect(underHeaders({}, surroundingContext)).toBeUndefined();
  });
});
