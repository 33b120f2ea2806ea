/** The command behind `fed-relay` and `fed relay`. */
import { isFedError } from "@fed/core";
import type { Command } from "commander";
import { openAdmitFile } from "./admit-file.js";
import { openCaptureFile } from "./capture-file.js";
import { parseListenAddress } from "./listen-address.js";
import { type StartRelayOptions, startRelay } from "./start-relay.js";

/** What the command line says. */
export interface RelayCommandOptions {
  readonly listen: string;
  readonly admit: readonly string[];
  readonly admitFile?: string;
  readonly origin?: string;
  readonly capture?: string;
  readonly node?: string;
  readonly nodes?: readonly string[];
  readonly nats?: string;
  /** Print one JSON document when it listens; the log then goes nowhere. */
  readonly json?: boolean;
}

/** Gives `command` the relay's options. */
export function withRelayOptions(command: Command): Command {
  return command
    .description("forward bytes between hubs that cannot reach each other; it can read none of them")
    .option("--listen <host:port>", "where to listen; port 0 takes any free one", "127.0.0.1:7443")
    .option("--admit <key...>", "fedrelay1. key of a cluster to serve; repeat for more", [])
    .option("--admit-file <file>", "file with one key per line; re-read when it changes")
    .option("--origin <url>", "what hubs use to get here, when it is not ws://HOST:PORT, e.g. wss://relay.example")
    .option("--node <url>", "one of several nodes: how hubs reach this one")
    .option("--nodes <url...>", "all nodes, the same list at each; every cluster is served by one of them")
    .option("--nats <url>", "NATS server that the nodes share: they notice who is down, and carry what crosses")
    .option("--capture <file>", "append every byte that crosses the relay to this file");
}

/** Runs a relay until SIGINT or SIGTERM. @throws {RelayHostError} RELAY_PORT_IN_USE. @throws {RelayError} KEY_INVALID. */
export async function runRelay(options: RelayCommandOptions): Promise<void> {
  const { json = false } = options;
  const log = (line: string) => {
    if (!json) process.stdout.write(`${new Date().toISOString()} ${line}\n`);
  };
  const { host, port } = parseListenAddress(options.listen);
  const capture = options.capture === undefined ? undefined : openCaptureFile(options.capture, complain);
  const file =
    options.admitFile === undefined
      ? undefined
      : openAdmitFile(options.admitFile, (error) => {
          if (error !== undefined) return complain(error);
          log(`admission keys read again: ${file!.keys.length}`);
          relay.recheckAdmissions();
        });
  const relay = await startRelay({
    host,
    port,
    admissionKeys: () => [...options.admit, ...(file?.keys ?? [])],
    log,
    ...(options.origin !== undefined && { origin: options.origin }),
    ...(capture && { capture: capture.write }),
    ...severalOf(options),
  });
  if (json) process.stdout.write(`${JSON.stringify({ url: relay.url, port: relay.port, pid: process.pid })}\n`);
  if (options.admit.length + (file?.keys.length ?? 0) === 0) log("no admission keys: nobody is admitted (--admit)");

  await new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => resolve());
  });
  file?.close();
  await relay.close();
  capture?.close();
}

function severalOf({ node, nodes, nats }: RelayCommandOptions): Pick<StartRelayOptions, "several"> {
  if (node === undefined && nodes === undefined && nats === undefined) return {};
  // What is missing is an error like a wrong URL: half a list would split a cluster.
  return { several: { node: node ?? "", nodes: nodes ?? [], ...(nats !== undefined && { nats }) } };
}

function complain(error: unknown): void {
  if (!isFedError(error)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint === undefined ? "" : `  → ${error.hint}\n`}`);
}
