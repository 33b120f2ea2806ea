/** `fed init` and `fed up`: make a hub, run it. */
import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { HubOptions } from "@fed/hub";
import { type Command, Option } from "commander";
import { whenUnlocked } from "../hub-client.js";
import type { LogFormat } from "../logger.js";
import type { Globals } from "../main.js";
import { CliError, parseDuration, parseListen, print } from "../output.js";
import { untilStopped } from "../until-stopped.js";

interface UpOptions {
  readonly mcpConfig?: string;
  readonly http: string;
  readonly lan?: string | true;
  readonly peer: readonly string[];
  readonly discovery: boolean;
  readonly relay: readonly string[];
  readonly approvalTimeout: string;
  readonly pinTools: boolean;
  readonly metricsOpen: boolean;
  readonly otlp?: string;
  readonly logLevel: string;
  readonly logFormat: LogFormat;
}

/** Adds the commands. */
export function addHubCommands(program: Command, globals: () => Globals): void {
  program
    .command("init")
    .description("make this hub's identity; prints the admin token once")
    .option("--name <name>", "the hub's name, unique in its cluster", defaultName())
    .action(async ({ name }: { name: string }) => {
      const { dir, json } = globals();
      const { createHub, HubError } = await import("@fed/hub");
      if (existsSync(join(dir, "hub.sqlite"))) {
        throw new HubError({
          code: "STATE_EXISTS",
          message: `There is a hub in ${dir} already.`,
          hint: "Run it with `fed up`, or name another directory with --dir.",
        });
      }
      await using hub = await createHub({ dir, name, http: false, relays: false });
      const { token } = await hub.operators.issueToken({ name: "admin", scope: "Admin" });
      print(json, { hubId: hub.hubId, name: hub.name, dir, token }, (made) => [
        `Hub ${made.name} is in ${made.dir}.`,
        `Its admin token, shown this once: ${made.token}`,
        "Run it with `fed up --mcp-config FILE`.",
      ]);
    });

  program
    .command("up")
    .description("run the hub until it is told to stop")
    .option("--mcp-config <file>", "the mcpServers JSON that MCP clients already use; it is watched for changes")
    .option("--http <host:port>", "where agents and operators reach it", "127.0.0.1:0")
    .option("--lan [host:port]", "federate over the LAN")
    .option("--peer <host:port>", "a LAN address to try where multicast does not reach", collectPeer, [])
    .option("--no-discovery", "neither announce nor look for hubs by multicast")
    .option("--relay <url>", "federate over this relay; default those the cluster names", collectRelay, [])
    .option("--approval-timeout <duration>", "how long a call waits for the operator's approval", "2m")
    .option("--metrics-open", "let /metrics be read without a token", false)
    .addOption(
      new Option("--otlp <url>", "send traces to this OpenTelemetry collector, by OTLP over HTTP")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT")
        .argParser(collectorUrl),
    )
    .option("--pin-tools", "refuse a tool whose definition has changed until `fed apps accept`", false)
    .addOption(
      new Option("--log-level <level>", "what is logged, on stderr")
        .choices(["debug", "info", "warn", "error", "silent"])
        .default("warn"),
    )
    .addOption(new Option("--log-format <format>", "how it looks").choices(["json", "pretty"]).default("json"))
    .action(async (options: UpOptions) => {
      const { dir, json } = globals();
      const [{ createHub }, { createLogger, hubLogger, logDestination }] = await Promise.all([
        import("@fed/hub"),
        import("../logger.js"),
      ]);
      const logger = createLogger(options.logLevel, await logDestination(options.logFormat));
      const { otlp } = options;
      const trace = otlp && (await import("../tracing.js")).prepareTracing(otlp, (message) => logger.warn(message));
      const hubOptions: HubOptions = {
        dir,
        mcpConfig: options.mcpConfig,
        http: parseListen(options.http, "127.0.0.1"),
        lan:
          options.lan === undefined
            ? false
            : {
                listen: options.lan === true ? undefined : parseListen(options.lan, "0.0.0.0"),
                peers: options.peer,
                discovery: options.discovery,
              },
        relays: options.relay.length > 0 ? options.relay : undefined,
        approvalTimeoutMs: parseDuration(options.approvalTimeout),
        toolPinning: options.pinTools ? "approve" : "alert",
        metrics: options.metricsOpen ? "open" : "token",
        log: hubLogger(logger),
      };
      const hub = await whenUnlocked(dir, () => createHub(hubOptions));
      const endTracing = trace ? trace(hub) : undefined;
      const stopped = untilStopped();
      print(json, { hubId: hub.hubId, name: hub.name, url: hub.url, mcp: `${hub.url}/mcp`, pid: process.pid }, (up) => [
        `Hub ${up.name} is up.`,
        `Agents connect to ${up.mcp} with their token; \`fed mcp\` serves clients that only speak stdio.`,
        "Stop it with Ctrl-C.",
      ]);
      await stopped;
      await hub.close();
      // Whoever tries to send the last spans would try on.
      if (endTracing && !(await endTracing())) process.exit();
    });
}

function collectorUrl(url: string): string {
  if (/^https?:$/.test(URL.parse(url)?.protocol ?? "")) return url;
  throw new CliError({
    code: "USAGE",
    message: `${url} is not the address of a collector.`,
    hint: "For example http://127.0.0.1:4318.",
  });
}

function collectPeer(address: string, before: readonly string[]): readonly string[] {
  if (parseListen(address, "").host !== "") return [...before, address];
  throw new CliError({ code: "USAGE", message: `${address} is not HOST:PORT.`, hint: "For example pc1.local:4871." });
}

function collectRelay(url: string, before: readonly string[]): readonly string[] {
  if (/^wss?:$/.test(URL.parse(url)?.protocol ?? "")) return [...before, url];
  throw new CliError({
    code: "USAGE",
    message: `${url} is not the address of a relay.`,
    hint: "It begins with wss:// or ws://.",
  });
}

function defaultName(): string {
  return (
    hostname()
      .toLowerCase()
      .replace(/\..*$/, "")
      .replace(/[^a-z0-9-]/g, "-")
      .replace(/^-+/, "")
      .slice(0, 32) || "hub"
  );
}
