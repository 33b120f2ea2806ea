/** Traces of `fed up`, sent to an OpenTelemetry collector. Loaded only when there is one to send to. */
import { setTimeout } from "node:timers/promises";
import { type DiagLogger, DiagLogLevel, diag, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { CliError } from "./output.js";

/** How long the last spans may hold up the end of the hub. */
const flushMs = 2_000;

/** The hub whose spans they are. */
export interface TracedHub {
  readonly hubId: string;
  readonly name: string;
}

/**
 * Makes ready to trace, to the collector at `endpoint` (a base address, as in OTEL_EXPORTER_OTLP_ENDPOINT).
 * OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME and OTEL_TRACES_SAMPLER
 * mean what they mean everywhere.
 * @returns what registers the tracer for this process; that returns what ends it, and tells whether the last spans were sent.
 * @throws {CliError} USAGE for a sampler that is not known.
 */
export function prepareTracing(
  endpoint: string,
  warn: (message: string) => void,
): (hub: TracedHub) => () => Promise<boolean> {
  const sampler = samplerOf(process.env.OTEL_TRACES_SAMPLER, process.env.OTEL_TRACES_SAMPLER_ARG);
  const exporter = new OTLPTraceExporter({ url: tracesUrl(endpoint) });
  return ({ hubId, name }) => {
    const quiet = () => {};
    const logger: DiagLogger = { error: warn, warn, info: quiet, debug: quiet, verbose: quiet };
    diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
    const own = resourceFromAttributes({ "service.name": "fed", "service.instance.id": hubId, "fed.hub.name": name });
    const provider = new TracerProvider({
      resource: own.merge(detectResources({ detectors: [envDetector] })),
      ...(sampler ? { sampler } : {}),
      spanProcessors: [new BatchSpanProcessor({ exporter })],
    });
    trace.setGlobalTracerProvider(provider);
    return async () => {
      trace.disable();
      const sent = provider.shutdown().then(
        () => true,
        () => false,
      );
      // A collector that is not there must not keep the hub.
      if (await Promise.race([sent, setTimeout(flushMs, false, { ref: false })])) return true;
      warn(`The last spans could not be sent to ${new URL(endpoint).host}.`);
      return false;
    };
  };
}

function tracesUrl(endpoint: string): string {
  const url = new URL(endpoint);
  if (!url.pathname.endsWith("/v1/traces")) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  return url.href;
}

function samplerOf(name: string | undefined, arg: string | undefined): Sampler | undefined {
  if (name === undefined || name === "") return undefined;
  const ratio = arg === undefined ? 1 : Number(arg);
  const roots: Readonly<Record<string, Sampler>> = {
    always_on: new AlwaysOnSampler(),
    always_off: new AlwaysOffSampler(),
    traceidratio: new TraceIdRatioBasedSampler(ratio),
  };
  const root = roots[name.replace(/^parentbased_/, "")];
  if (!root || !(ratio >= 0 && ratio <= 1)) {
    throw new CliError({
      code: "USAGE",
      message: `OTEL_TRACES_SAMPLER=${name} with OTEL_TRACES_SAMPLER_ARG=${arg ?? ""} is no sampler.`,
      hint: "For example parentbased_traceidratio and 0.1.",
    });
  }
  return name.startsWith("parentbased_") ? new ParentBasedSampler({ root }) : root;
}
