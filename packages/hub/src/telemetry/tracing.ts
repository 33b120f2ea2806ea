/**
 * Spans of calls, by OpenTelemetry's semantic conventions for MCP. The tracer is whatever the program has registered with
 * `@opentelemetry/api`; while it has none, nothing is made here.
 */
import {
  type Attributes,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { modernRevision } from "../mcp/meta.js";

const scope = "@fed/hub";
const maxNameChars = 128;

/** What a span tells of a request. No operator, no arguments, no URI: those who read traces need not be those who may see them. */
export interface SpanFacts {
  readonly callId: string;
  readonly method: string;
  /** The tool or prompt that it names. */
  readonly target: string | undefined;
  readonly app: string;
  /** The hub that has the app, as far as it is known. */
  readonly hub: string | undefined;
  /** `local`, or the transport that reaches the hub. */
  readonly path: string | undefined;
}

/** The tracer that the program has registered, or undefined. */
export function activeTracer(): Tracer | undefined {
  const provider = trace.getTracerProvider();
  return provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(scope) : provider.getTracer(scope);
}

/** A span for a request that is served here. `link`: what surrounds it beside its parent. */
export function serverSpan(
  tracer: Tracer,
  facts: SpanFacts,
  parent: SpanContext | undefined,
  link?: SpanContext,
): Span {
  return start(tracer, SpanKind.SERVER, facts, parent, link);
}

/** A span for a request that is sent on, to an app or to another hub. */
export function clientSpan(tracer: Tracer, facts: SpanFacts, parent: SpanContext | undefined): Span {
  return start(tracer, SpanKind.CLIENT, facts, parent);
}

/** Ends `span`; `code` is `ok`, `tool_error` or an error's code. */
export function endSpan(span: Span, code: string): void {
  if (code !== "ok") {
    span.setAttribute("error.type", code);
    // An error's words may be the app's own; they stay out of traces.
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

/** Adds what was found out on the way. */
export function locateSpan(span: Span, { hub, path }: Pick<SpanFacts, "hub" | "path">): void {
  if (hub !== undefined) span.setAttribute("fed.hub", hub);
  if (path !== undefined) span.setAttribute("fed.path", path);
}

/** The tool or prompt that a request names. */
export function targetOf(method: string, params: unknown): string | undefined {
  if (method !== "tools/call" && method !== "prompts/get") return undefined;
  const { name } = (params ?? {}) as { readonly name?: unknown };
  return typeof name === "string" ? name.slice(0, maxNameChars) : undefined;
}

function start(
  tracer: Tracer,
  kind: SpanKind,
  facts: SpanFacts,
  parent: SpanContext | undefined,
  link?: SpanContext,
): Span {
  const { method, target } = facts;
  const links = link && link.spanId !== parent?.spanId ? [{ context: link }] : [];
  return tracer.startSpan(
    `${method.slice(0, maxNameChars)}${target === undefined ? "" : ` ${target}`}`,
    { kind, attributes: attributesOf(facts), links },
    parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT,
  );
}

function attributesOf({ callId, method, target, app, hub, path }: SpanFacts): Attributes {
  const attributes: Attributes = {
    "mcp.method.name": method.slice(0, maxNameChars),
    "fed.call.id": callId,
    "fed.app": app,
  };
  if (method === "tools/call") attributes["gen_ai.operation.name"] = "execute_tool";
  if (target !== undefined) attributes[method === "tools/call" ? "gen_ai.tool.name" : "gen_ai.prompt.name"] = target;
  if (hub !== undefined) attributes["fed.hub"] = hub;
  if (path !== undefined) {
    attributes["fed.path"] = path;
    // The conversation between two hubs; what an app or an agent speaks is theirs.
    if (path !== "local") {
      attributes["mcp.protocol.version"] = modernRevision;
      attributes["network.transport"] = "tcp";
    }
  }
  return attributes;
}
