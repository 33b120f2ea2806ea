/**
 * Where calls are watched: once where an agent's request begins, once where a request reaches an app of this hub, and at the
 * audit log for those that do not get so far. Each place makes the spans and restamps the trace context for the next hop;
 * everything else hears of the calls by {@link CallEvents}.
 */
import { type Clock, encodeBase64Url, type HubId, randomBytes } from "@fed/core";
import type { AppContext, AppRequest, LocalApps, Notification } from "@fed/router";
import type { Span, SpanContext } from "@opentelemetry/api";
import type { AuditTrail } from "../audit-trail.js";
import { isObject } from "../mcp/json-rpc.js";
import type { AppTarget } from "../operators/within.js";
import { CallEvents, type ObservedCall } from "./call-events.js";
import { LatencyHistogram } from "./latency-histogram.js";
import { errorCode, resultCode } from "./outcome-code.js";
import { spanContextOf, surroundingContext, withTraceContext } from "./trace-context.js";
import { activeTracer, clientSpan, endSpan, locateSpan, type SpanFacts, serverSpan, targetOf } from "./tracing.js";

/** What watching asks of its hub. */
export interface CallWatchOptions {
  readonly selfId: HubId;
  readonly clock: Clock;
  /** The transport that reaches a hub now. */
  readonly pathTo: (hubId: HubId) => string | undefined;
}

/** An agent's request on its way. */
export interface AgentCall {
  /** For the router, so that audit logs, traces, logs and the tap name the call alike. */
  readonly callId: string;
  readonly onNotification: ((notification: Notification) => void) | undefined;
  /** Sends it to the hub that has the app, with the params that it is to have there. */
  send<T>(hubId: HubId, forward: (params: Readonly<Record<string, unknown>>) => Promise<T>): Promise<T>;
}

/** A request that lasts as long as the agent wants makes no span: nobody would see it before it is over. */
const lasting = "subscriptions/listen";

/** See the module header. */
export class CallWatch {
  readonly events: CallEvents;
  /** How long records take to become durable. */
  readonly auditSeconds: LatencyHistogram = new LatencyHistogram();
  readonly #options: CallWatchOptions;

  constructor(options: CallWatchOptions) {
    this.#options = options;
    this.events = new CallEvents(options.clock);
  }

  /** Watches a request of an agent of this hub, from `work` being called to its end. */
  agentCall<T>(
    target: AppTarget,
    operator: string,
    onNotification: ((notification: Notification) => void) | undefined,
    work: (call: AgentCall) => Promise<T>,
  ): Promise<T> {
    const { hub, app, method, params } = target;
    const callId = encodeBase64Url(randomBytes(16));
    const stated = spanContextOf(params._meta);
    const around = surroundingContext();
    const parent = stated ?? around;
    const tracer = method === lasting ? undefined : activeTracer();
    const facts: SpanFacts = { callId, method, target: targetOf(method, params), app, hub: undefined, path: undefined };
    const span = tracer && serverSpan(tracer, facts, parent, stated && around);
    const carried = span?.spanContext() ?? parent;
    const traceId = carried?.traceId;
    const call = {
      id: callId,
      side: "agent",
      from: undefined,
      operator,
      hub,
      app,
      method,
      params,
      path: undefined,
      traceId,
    } as const;
    const observed = this.events.begin(call);
    return this.#untilEnded(observed, span, () =>
      work({
        callId,
        onNotification:
          onNotification &&
          ((notification) => {
            observed.notifications++;
            onNotification(notification);
          }),
        send: (hubId, forward) => {
          const local = hubId === this.#options.selfId;
          const path = local ? "local" : (this.#options.pathTo(hubId) ?? "none");
          observed.hub = hubId;
          observed.path = path;
          if (span) locateSpan(span, { hub: hubId, path });
          if (local || !tracer) return forward(withTraceContext(params, carried, { baggage: local }));
          const hop = clientSpan(tracer, { ...facts, hub: hubId, path }, carried);
          return spanned(hop, () => forward(withTraceContext(params, hop.spanContext(), { baggage: false })));
        },
      }),
    );
  }

  /** `apps`, with an eye on what reaches them. */
  watchApps(apps: LocalApps): LocalApps {
    return {
      list: () => apps.list(),
      ...(apps.version && { version: () => apps.version!() }),
      ...(apps.tools && { tools: (app) => apps.tools?.(app) }),
      ...(apps.hints && { hints: (app, tool) => apps.hints?.(app, tool) }),
      ...(apps.learn && { learn: async (app, tool, context) => apps.learn?.(app, tool, context) }),
      call: (app, request, context) =>
        context.caller.local ? toApp(apps, app, request, context) : this.#peerCall(apps, app, request, context),
    };
  }

  /** `audit`, with an eye on what is refused and how long writing takes. */
  watchAudit(audit: AuditTrail): AuditTrail {
    const { clock } = this.#options;
    const timed = async (appended: Promise<void>, startedMs: number) => {
      await appended;
      this.auditSeconds.observe((clock.monotonicMs() - startedMs) / 1000);
    };
    return {
      ...audit,
      append: (record, options) => {
        if (record.type === "call.decision" && record.decision === "deny") this.events.deny(record);
        const appended = audit.append(record, options);
        return options?.lazily ? appended : timed(appended, clock.monotonicMs());
      },
    };
  }

  #peerCall(apps: LocalApps, app: string, request: AppRequest, context: AppContext): Promise<unknown> {
    const { selfId, pathTo } = this.#options;
    const { method, params } = request;
    const { caller, callId } = context;
    const from = caller.hubs.at(-1) ?? caller.homeHub;
    const path = pathTo(from) ?? "none";
    const stated = isObject(params) ? spanContextOf(params._meta) : undefined;
    const tracer = method === lasting ? undefined : activeTracer();
    const span =
      tracer &&
      serverSpan(tracer, { callId, method, target: targetOf(method, params), app, hub: selfId, path }, stated);
    const observed = this.events.begin({
      id: callId,
      side: "peer",
      from,
      operator: caller.operator,
      hub: selfId,
      app,
      method,
      params,
      path,
      traceId: stated?.traceId ?? span?.spanContext().traceId,
    });
    const notify = (notification: Notification) => {
      observed.notifications++;
      context.notify(notification);
    };
    return this.#untilEnded(observed, span, () =>
      toApp(apps, app, restamped(request, span?.spanContext() ?? stated), { ...context, notify }),
    );
  }

  async #untilEnded<T>(call: ObservedCall, span: Span | undefined, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      const code = resultCode(result);
      this.events.end(call, { code, result });
      if (span) endSpan(span, code);
      return result;
    } catch (error) {
      const code = errorCode(error);
      this.events.end(call, { code, error });
      if (span) endSpan(span, code);
      throw error;
    }
  }
}

function toApp(apps: LocalApps, app: string, request: AppRequest, context: AppContext): Promise<unknown> {
  const { method, params } = request;
  const tracer = method === lasting ? undefined : activeTracer();
  if (!tracer) return apps.call(app, request, context);
  const { callId } = context;
  const facts = { callId, method, target: targetOf(method, params), app, hub: undefined, path: "local" };
  const span = clientSpan(tracer, facts, isObject(params) ? spanContextOf(params._meta) : undefined);
  return spanned(span, () => apps.call(app, restamped(request, span.spanContext()), context));
}

/** Baggage that got so far is for the app. */
function restamped(request: AppRequest, spanContext: SpanContext | undefined): AppRequest {
  const { params } = request;
  if (!isObject(params)) return request;
  return { ...request, params: withTraceContext(params, spanContext, { baggage: true }) };
}

async function spanned<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    endSpan(span, resultCode(result));
    return result;
  } catch (error) {
    endSpan(span, errorCode(error));
    throw error;
  }
}
