/** Each call as a line of the log, at its end, without arguments and results. */
import type { Logger } from "../options.js";
import type { CallListener } from "./call-events.js";
import { targetOf } from "./tracing.js";

/** Writes calls with `debug`; `nameOf` gives a hub's name. */
export function createCallLog(debug: NonNullable<Logger["debug"]>, nameOf: (hubId: string) => string): CallListener {
  return {
    ended(call, { code, durationMs }) {
      const { id, side, from, operator, hub, app, method, params, path, traceId, notifications } = call;
      debug(
        {
          call: id,
          side,
          ...(from === undefined ? {} : { from: nameOf(from) }),
          operator,
          ...(hub === undefined ? {} : { hub: nameOf(hub) }),
          app,
          method,
          tool: targetOf(method, params),
          path,
          code,
          durationMs: Math.round(durationMs * 1000) / 1000,
          notifications,
          trace_id: traceId,
        },
        "call",
      );
    },
    denied({ callId, app, method, tool, from, operator, rule }) {
      debug(
        { call: callId, app, method, tool, from: from === undefined ? undefined : nameOf(from), operator, rule },
        "call denied",
      );
    },
  };
}
