/** What can be seen of a hub from outside: its calls as they happen, counts of them, and how it stands. */
import type { Clock, FedError, HubId } from "@fed/core";
import type { Router } from "@fed/router";
import type { AppHost } from "../apps/app-host.js";
import type { AuditTrail } from "../audit-trail.js";
import type { Logger } from "../options.js";
import { createCallLog } from "./call-log.js";
import { CallTally, type RefusedAt } from "./call-tally.js";
import { CallWatch } from "./call-watch.js";
import { metricsPage } from "./metrics.js";
import { createTap, type Tap, type TapSource } from "./tap.js";

/** The hub that is looked at. */
export interface TelemetryOptions {
  readonly selfId: HubId;
  readonly clock: Clock;
  readonly log: Logger;
  readonly apps: Pick<AppHost, "health">;
  readonly audit: Pick<AuditTrail, "records">;
  readonly router: () => Pick<Router, "peers" | "session">;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  readonly secretInputs: TapSource["secretInputs"];
  /** Undefined in no cluster. */
  readonly revocations: () => { readonly number: number; readonly issuedAt: number } | undefined;
}

/** See the module header. */
export interface Telemetry {
  /** Where calls are watched. */
  readonly calls: CallWatch;
  readonly tap: Tap;
  /** The page that Prometheus reads. */
  metrics(): Promise<string>;
  /** Counts somebody who was refused before there was a call. */
  refused(at: RefusedAt, error: FedError): void;
}

/** See {@link Telemetry}. */
export function createTelemetry(options: TelemetryOptions): Telemetry {
  const { selfId, clock, log, apps, audit, router, revocations, secretInputs } = options;
  const nameOfHub = (hubId: string) => options.nameOfHub(hubId) ?? hubId;
  const calls = new CallWatch({ selfId, clock, pathTo: (hubId) => router().session(hubId)?.transport });
  const tally = new CallTally(selfId, (name) => apps.health().some(({ app }) => app === name));
  calls.events.listen(tally);
  if (log.debug) calls.events.listen(createCallLog(log.debug.bind(log), nameOfHub));
  const tap = createTap({ events: calls.events, clock, nameOf: nameOfHub, secretInputs });
  let taps = 0;

  return {
    calls,
    tap(listener, tapOptions) {
      const end = tap(listener, tapOptions);
      taps++;
      let ended = false;
      return () => {
        if (!ended) taps--;
        ended = true;
        end();
      };
    },
    metrics: () =>
      metricsPage({
        tally,
        auditSeconds: calls.auditSeconds,
        auditRecords: () => audit.records(),
        peers: () => router().peers(),
        apps: () => apps.health(),
        revocations() {
          const list = revocations();
          return list && { size: list.number, issuedAtMs: list.issuedAt * 1000 };
        },
        taps: () => taps,
        nowMs: () => clock.nowMs(),
      }),
    refused: (at, { code }) => tally.refuse(at, code),
  };
}
