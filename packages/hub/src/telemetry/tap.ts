/** Calls, shown live to whoever looks: what a person may see of them, made only while somebody looks. */
import type { Clock, Json } from "@fed/core";
import { isFedError } from "@fed/core";
import { type SecretSchema, withoutSecrets } from "../consent/secret-fields.js";
import { isObject } from "../mcp/json-rpc.js";
import { redact, redactText } from "../redaction.js";
import type { CallEvents, CallListener, CallOutcome, DeniedCall, ObservedCall } from "./call-events.js";
import { targetOf } from "./tracing.js";

/** Of one side of a call, as JSON. */
const maxBodyBytes = 8 * 1024;
const maxMessageChars = 300;

/** What is known of a call from its start. */
interface TappedCall {
  /** Unix milliseconds. */
  readonly atMs: number;
  /** The id it has in the audit logs of both hubs. */
  readonly call: string;
  /** Who asked this hub: an agent of its own, or another hub. */
  readonly side: "agent" | "peer";
  /** The name of the hub that it came from, of `peer`. */
  readonly from?: string;
  readonly operator?: string;
  /** The name of the hub that has the app; absent until that is found out. */
  readonly hub?: string;
  readonly app: string;
  readonly method: string;
  readonly tool?: string;
  /** Of the trace that it belongs to. */
  readonly trace?: string;
}

/** One line of the tap. Bodies are JSON without secrets, at most 8 KiB each. */
export type TapEvent =
  | (TappedCall & { readonly event: "started"; readonly requestBytes: number; readonly arguments?: Json })
  | (TappedCall & {
      readonly event: "ended";
      readonly path: string;
      /** `ok`, `tool_error`, or the code of the error. */
      readonly code: string;
      readonly message?: string;
      readonly durationMs: number;
      readonly notifications: number;
      readonly resultBytes?: number;
      readonly result?: Json;
    })
  | (TappedCall & { readonly event: "denied"; readonly rule: string })
  /** The reader was too slow for so many. */
  | { readonly event: "lost"; readonly events: number };

/** What to show. */
export interface TapOptions {
  /** Calls of this app alone. */
  readonly app?: string;
  /** Calls of apps on this hub alone, by id or name. */
  readonly hub?: string;
  /** Calls of this operator alone: `<name>@<hub id>`, or the name. */
  readonly operator?: string;
  /** Arguments and results too, redacted. */
  readonly bodies?: boolean;
}

/** Shows calls to `listener` until the function it returns is called; a throw of the listener is dropped. */
export type Tap = (listener: (event: TapEvent) => void, options?: TapOptions) => () => void;

/** What a tap is made from. */
export interface TapSource {
  readonly events: CallEvents;
  readonly clock: Clock;
  /** A hub's name. */
  nameOf(hubId: string): string;
  /** Which arguments nobody is shown, of a tool of this hub's own. */
  secretInputs(app: string, tool: string | undefined): readonly SecretSchema[];
}

/** See {@link Tap}. */
export function createTap({ events, clock, nameOf, secretInputs }: TapSource): Tap {
  return (show, options = {}) => {
    const { bodies = false } = options;
    const common = (call: ObservedCall): TappedCall => ({
      atMs: clock.nowMs(),
      call: call.id,
      side: call.side,
      ...(call.from === undefined ? {} : { from: nameOf(call.from) }),
      operator: call.operator,
      ...(call.hub === undefined ? {} : { hub: nameOf(call.hub) }),
      app: call.app,
      method: call.method,
      ...optional("tool", targetOf(call.method, call.params)),
      ...optional("trace", call.traceId),
    });
    const isWanted = (hub: string | undefined, app: string, operator: string | undefined) =>
      (options.app === undefined || options.app === app) &&
      (options.hub === undefined || hub === undefined || options.hub === hub || options.hub === nameOf(hub)) &&
      (options.operator === undefined ||
        options.operator === operator ||
        options.operator === operator?.slice(0, operator.lastIndexOf("@")));
    const listener: CallListener = {
      started(call) {
        if (!isWanted(call.hub, call.app, call.operator)) return;
        show({
          event: "started",
          ...common(call),
          requestBytes: jsonBytes(call.params),
          ...(bodies ? { arguments: argumentsOf(call, secretInputs) } : {}),
        });
      },
      ended(call, outcome) {
        if (!isWanted(call.hub, call.app, call.operator)) return;
        show({ event: "ended", ...common(call), ...ending(call, outcome, bodies) });
      },
      denied(denied) {
        // Of an own agent's call the end says as much.
        if (denied.from === undefined || !isWanted(undefined, denied.app, denied.operator)) return;
        show({ event: "denied", ...refused(denied, clock.nowMs(), nameOf), rule: denied.rule });
      },
    };
    return events.listen(listener);
  };
}

function ending(call: ObservedCall, { code, durationMs, result, error }: CallOutcome, bodies: boolean) {
  return {
    path: call.path ?? "none",
    code,
    ...(isFedError(error) ? { message: redactText(error.message, { maxChars: maxMessageChars }) } : {}),
    durationMs: Math.round(durationMs * 1000) / 1000,
    notifications: call.notifications,
    ...(result === undefined ? {} : { resultBytes: jsonBytes(result) }),
    ...(bodies && result !== undefined ? { result: redact(result, { maxBytes: maxBodyBytes }) } : {}),
  };
}

function refused(
  { callId, app, method, tool, from, operator }: DeniedCall,
  atMs: number,
  nameOf: (hubId: string) => string,
): TappedCall {
  return {
    atMs,
    call: callId,
    side: "peer",
    ...(from === undefined ? {} : { from: nameOf(from) }),
    ...optional("operator", operator),
    app,
    method,
    ...optional("tool", tool),
  };
}

/** An app of that name may be another hub's: then it hides too much. */
function argumentsOf({ app, method, params }: ObservedCall, secretInputs: TapSource["secretInputs"]): Json {
  const { _meta, ...rest } = isObject(params) ? params : {};
  if (method !== "tools/call") return redact(rest, { maxBytes: maxBodyBytes });
  const tool = typeof rest.name === "string" ? rest.name : undefined;
  return redact(withoutSecrets(rest.arguments, secretInputs(app, tool)), { maxBytes: maxBodyBytes });
}

function optional<K extends string>(key: K, value: string | undefined): { readonly [key in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in K]?: string });
}

function jsonBytes(value: unknown): number {
  try {
    return Buffer.byteLength(JSON.stringify(value) ?? "");
  } catch {
    return 0;
  }
}
