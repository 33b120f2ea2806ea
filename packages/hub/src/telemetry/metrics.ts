/**
 * The page that Prometheus reads. Calls are counted as they happen; whatever else can be asked of the hub is asked when the
 * page is. `prom-client` writes it, adds what Node knows of the process, and is loaded by the first reader.
 */
import type { PeerStatus } from "@fed/router";
import type { AppHealth } from "../apps/app-health.js";
import { hubInfo } from "../mcp/meta.js";
import type { CallTally, Counted } from "./call-tally.js";
import { type LatencyHistogram, latencyBounds } from "./latency-histogram.js";

/** What the page shows beside the calls. */
export interface MetricSources {
  readonly tally: CallTally;
  readonly auditSeconds: LatencyHistogram;
  /** Records in the audit log. */
  auditRecords(): number;
  peers(): readonly PeerStatus[];
  apps(): readonly AppHealth[];
  /** Undefined in no cluster. */
  revocations(): { readonly size: number; readonly issuedAtMs: number } | undefined;
  /** Who watches calls live. */
  taps(): number;
  nowMs(): number;
}

interface Sample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  samples(sources: MetricSources): Iterable<Sample>;
}

/** What Prometheus calls its text format. */
export const metricsContentType = "text/plain; version=0.0.4; charset=utf-8";

const families: readonly Family[] = [
  {
    name: "fed_build_info",
    help: "The version of the hub; always 1.",
    type: "gauge",
    samples: () => [{ labels: { version: hubInfo.version }, value: 1 }],
  },
  {
    name: "fed_calls_total",
    help: "Requests that ended, by who asked this hub (an agent of its own or a peer), path, MCP method and outcome.",
    type: "counter",
    samples: ({ tally }) => counted(tally.calls),
  },
  {
    name: "fed_call_duration_seconds",
    help: "How long requests took, by who asked this hub and path; subscriptions are not among them.",
    type: "histogram",
    *samples({ tally }) {
      for (const { labels, histogram } of tally.durations.values())
        yield* bucketed("fed_call_duration_seconds", labels, histogram);
    },
  },
  {
    name: "fed_calls_in_flight",
    help: "Requests under way, by who asked this hub.",
    type: "gauge",
    samples: ({ tally }) => Object.entries(tally.inFlight).map(([side, value]) => ({ labels: { side }, value })),
  },
  {
    name: "fed_app_calls_total",
    help: "Requests to this hub's apps that ended, by app and outcome.",
    type: "counter",
    samples: ({ tally }) => counted(tally.appCalls),
  },
  {
    name: "fed_app_call_seconds_total",
    help: "Time that requests to this hub's apps took, by app.",
    type: "counter",
    samples: ({ tally }) => counted(tally.appSeconds),
  },
  {
    name: "fed_app_status",
    help: "Whether an app of this hub stands so: idle, starting, ready, failed or stopped.",
    type: "gauge",
    samples: ({ apps }) => apps().map(({ app, status }) => ({ labels: { app, status }, value: 1 })),
  },
  {
    name: "fed_app_restarts_total",
    help: "How often an app of this hub was started after the first time.",
    type: "counter",
    samples: ({ apps }) => apps().map(({ app, restarts }) => ({ labels: { app }, value: restarts })),
  },
  {
    name: "fed_denials_total",
    help: "Calls of this hub's apps that its rules did not let through, by the kind of rule.",
    type: "counter",
    samples: ({ tally }) => counted(tally.denials),
  },
  {
    name: "fed_refusals_total",
    help: "Requests, joins and handshakes that this hub did not take, by where (http, join, handshake, peer) and code.",
    type: "counter",
    samples: ({ tally }) => counted(tally.refusals),
  },
  {
    name: "fed_members",
    help: "Other hubs of the cluster.",
    type: "gauge",
    samples: ({ peers }) => [{ labels: {}, value: peers().filter(({ member }) => member).length }],
  },
  {
    name: "fed_peers_connected",
    help: "Hubs that are connected, by the transport that calls to them take now.",
    type: "gauge",
    *samples({ peers }) {
      const byTransport = new Map<string, number>();
      for (const { path } of peers()) if (path !== undefined) byTransport.set(path, (byTransport.get(path) ?? 0) + 1);
      for (const [transport, value] of byTransport) yield { labels: { transport }, value };
    },
  },
  {
    name: "fed_audit_append_seconds",
    help: "How long a record of the audit log took to become durable.",
    type: "histogram",
    samples: ({ auditSeconds }) => bucketed("fed_audit_append_seconds", {}, auditSeconds),
  },
  {
    name: "fed_audit_records",
    help: "Records in the audit log.",
    type: "gauge",
    samples: (sources) => [{ labels: {}, value: sources.auditRecords() }],
  },
  {
    name: "fed_revocations",
    help: "Entries of the revocation list in force; absent in no cluster.",
    type: "gauge",
    *samples(sources) {
      const list = sources.revocations();
      if (list) yield { labels: {}, value: list.size };
    },
  },
  {
    name: "fed_revocation_list_age_seconds",
    help: "Since the revocation list in force was issued; absent while there is none.",
    type: "gauge",
    *samples(sources) {
      const list = sources.revocations();
      if (list && list.issuedAtMs > 0)
        yield { labels: {}, value: Math.max(0, (sources.nowMs() - list.issuedAtMs) / 1000) };
    },
  },
  {
    name: "fed_taps",
    help: "Who watches this hub's calls live.",
    type: "gauge",
    samples: (sources) => [{ labels: {}, value: sources.taps() }],
  },
];

/** See the module header. */
export async function metricsPage(sources: MetricSources): Promise<string> {
  const { Registry, ofProcess } = await loadClient();
  const own = new Registry();
  for (const family of families) {
    const { name, help, type } = family;
    const values = [...family.samples(sources)];
    if (values.length > 0) own.registerMetric({ name, get: async () => ({ name, help, type, values }) } as never);
  }
  return Registry.merge([own, ofProcess]).metrics();
}

/** Of the process there is one, however many hubs it runs; what Node measures for it cannot be let go again. */
let client: Promise<
  Pick<typeof import("prom-client"), "Registry"> & { readonly ofProcess: import("prom-client").Registry }
>;

function loadClient(): typeof client {
  client ??= import("prom-client").then(({ default: { Registry, collectDefaultMetrics } }) => {
    const ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
    return { Registry, ofProcess };
  });
  return client;
}

function* counted(counts: ReadonlyMap<string, Counted>): Generator<Sample> {
  for (const { labels, count } of counts.values()) yield { labels, value: count };
}

function* bucketed(name: string, labels: Counted["labels"], histogram: LatencyHistogram): Generator<Sample> {
  const counts = histogram.cumulative();
  for (const [index, le] of latencyBounds.entries())
    yield { metricName: `${name}_bucket`, labels: { ...labels, le }, value: counts[index]! };
  yield { metricName: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: histogram.count };
  yield { metricName: `${name}_sum`, labels, value: histogram.sum };
  yield { metricName: `${name}_count`, labels, value: histogram.count };
}
