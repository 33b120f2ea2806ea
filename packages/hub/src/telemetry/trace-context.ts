/**
 * W3C Trace Context and Baggage in the two carriers that a request may have: HTTP headers, and MCP `_meta` with the keys
 * `traceparent`, `tracestate` and `baggage` (SEP-414). OpenTelemetry's conventions for MCP say which counts: what `_meta`
 * says is the parent, and what surrounds the request (the HTTP headers, or a span of the program that embeds the hub) is
 * linked to; without anything in `_meta` what surrounds the request is the parent.
 *
 * Between hubs the context travels in `_meta` alone: there the hop proof covers it, and each hop stamps its own. Baggage says
 * whatever an agent's instrumentation put there, names of people among it. It goes on to apps of this hub, which the agent
 * chose to talk to, and not to other hubs; what came in an HTTP header goes nowhere.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { context, createTraceState, isSpanContextValid, type SpanContext, trace } from "@opentelemetry/api";
import { isObject } from "../mcp/json-rpc.js";

/** Characters; a longer list says nothing. W3C Trace Context 3.3.1.5. */
const maxTraceStateChars = 512;
/** What W3C Baggage 3.3.2 asks everybody to carry. */
const maxBaggageChars = 8192;
const maxBaggageEntries = 64;
/** Sampled and random; what other bits will mean is not known. */
const knownFlags = 0x03;

/** The keys of `_meta` that carry context. */
const traceKeys = ["traceparent", "tracestate", "baggage"] as const;

const headerContext = new AsyncLocalStorage<SpanContext>();

/** Runs `work` under the context that the headers of an HTTP request state, if any. */
export function underHeaders<T>(headers: Readonly<Record<string, unknown>>, work: () => T): T {
  if (headers.traceparent === undefined) return work();
  const stated = spanContextOf(headers);
  return stated ? headerContext.run(stated, work) : work();
}

/** The context around what runs now: a span of this process, else the one that {@link underHeaders} found. */
export function surroundingContext(): SpanContext | undefined {
  const active = trace.getSpanContext(context.active());
  return active && isSpanContextValid(active) ? active : headerContext.getStore();
}

/** The context that `carrier` states; undefined without one, and for one that is malformed. */
export function spanContextOf(carrier: unknown): SpanContext | undefined {
  if (!isObject(carrier) || typeof carrier.traceparent !== "string") return undefined;
  const found = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/.exec(carrier.traceparent.slice(0, 128));
  if (!found) return undefined;
  const [, version, traceId, spanId, flags, more] = found as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ];
  if (version === "ff" || (version === "00" && more !== undefined)) return undefined;
  const traceState = stateOf(carrier.tracestate);
  const stated: SpanContext = {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16) & knownFlags,
    isRemote: true,
    ...(traceState ? { traceState } : {}),
  };
  return isSpanContextValid(stated) ? stated : undefined;
}

/**
 * `params` with `spanContext` in its `_meta` and no other context. Baggage stays, when `baggage` is true and it is well formed.
 * Params that have no context and get none are returned as they are.
 */
export function withTraceContext<T extends Readonly<Record<string, unknown>>>(
  params: T,
  spanContext: SpanContext | undefined,
  { baggage }: { readonly baggage: boolean },
): T {
  const meta = isObject(params._meta) ? params._meta : {};
  if (!spanContext && !traceKeys.some((key) => key in meta)) return params;
  const { traceparent, tracestate, baggage: carried, ...stamped } = meta;
  if (spanContext) {
    stamped.traceparent = formatTraceParent(spanContext);
    const state = spanContext.traceState?.serialize();
    if (state) stamped.tracestate = state;
  }
  if (baggage && isBaggage(carried)) stamped.baggage = carried;
  const { _meta, ...rest } = params;
  return (Object.keys(stamped).length > 0 ? { ...rest, _meta: stamped } : rest) as unknown as T;
}

function formatTraceParent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & knownFlags).toString(16).padStart(2, "0")}`;
}

/** Names and values alone: entries of W3C's shape, the duplicates and the malformed left out by the API. */
function stateOf(text: unknown): SpanContext["traceState"] {
  if (typeof text !== "string" || text === "" || text.length > maxTraceStateChars) return undefined;
  const state = createTraceState(text);
  return state.serialize() === "" ? undefined : state;
}

function isBaggage(text: unknown): text is string {
  return (
    typeof text === "string" &&
    text.length <= maxBaggageChars &&
    /^[\t\x20-\x7e]+$/.test(text) &&
    text.split(",").length <= maxBaggageEntries
  );
}
