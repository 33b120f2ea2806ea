/** `GET /api/federation/tap`: this hub's calls, live, for whoever may do everything here. */
import type { Clock } from "@fed/core";
import { RouterError } from "@fed/router";
import type { Hono } from "hono";
import { z } from "zod";
import type { OpenExchanges } from "../operators/open-exchanges.js";
import { requireScope, requireWhole } from "../operators/operator.js";
import type { Tap } from "../telemetry/tap.js";
import { valid } from "../valid.js";
import type { HubEnvironment } from "./http-server.js";
import { openTapStream } from "./tap-stream.js";

const path = "/api/federation/tap";
const maxReaders = 16;
const name = z.string().min(1).max(256).optional();
const tapQuery = z.strictObject({
  hub: name,
  app: name,
  operator: name,
  bodies: z
    .enum(["true", "false"])
    .default("false")
    .transform((text) => text === "true"),
});

/** Adds the route. */
export function addTapRoute(
  app: Hono<HubEnvironment>,
  { tap, exchanges, clock }: { readonly tap: Tap; readonly exchanges: OpenExchanges; readonly clock: Clock },
): void {
  let readers = 0;

  app.get(path, (context) => {
    const operator = context.get("operator");
    requireScope(operator, "Admin");
    requireWhole(operator);
    const wanted = valid(tapQuery, context.req.query());
    if (readers >= maxReaders) {
      throw new RouterError({
        code: "BUSY",
        message: `${maxReaders} readers watch the calls of this hub already.`,
        hint: "End one of them.",
        retryable: true,
      });
    }
    readers++;
    const stream = openTapStream(tap, {
      ...wanted,
      clock,
      standing: exchanges.begin(operator),
      onEnd: () => readers--,
    });
    return context.body(stream, 200, {
      "content-type": "text/event-stream",
      "cache-control": "no-cache, no-transform",
      "x-accel-buffering": "no",
    });
  });
}
