#!/usr/bin/env node
/** The `fed-relay` command. */
import { isFedError } from "@fed/core";
import { Command } from "commander";
import { openAdmitFile } from "./admit-file.js";
import { openCaptureFile } from "./capture-file.js";
import { parseListenAddress } from "./listen-address.js";
import { startRelay } from "./start-relay.js";

interface Flags {
  readonly listen: string;
  readonly admit: readonly string[];
  readonly admitFile?: string;
  readonly origin?: string;
  readonly capture?: string;
}

const program = new Command("fed-relay")
  .description("Forwards bytes between hubs that cannot reach each other. It can read none of them.")
  .option("--listen <host:port>", "where to listen; port 0 takes any free one", "127.0.0.1:7443")
  .option("--admit <key...>", "fedrelay1. key of a cluster to serve; repeat for more", [])
  .option("--admit-file <file>", "file with one key per line; re-read when it changes")
  .option("--origin <url>", "what hubs use to get here, when it is not ws://HOST:PORT, e.g. wss://relay.example")
  .option("--capture <file>", "append every byte that crosses the relay to this file")
  .action(run);

async function run(flags: Flags): Promise<void> {
  const { host, port } = parseListenAddress(flags.listen);
  const capture = flags.capture === undefined ? undefined : openCaptureFile(flags.capture, complain);
  const file =
    flags.admitFile === undefined
      ? undefined
      : openAdmitFile(flags.admitFile, (error) => {
          if (error !== undefined) return complain(error);
          log(`admission keys read again: ${file!.keys.length}`);
          relay.recheckAdmissions();
        });
  const relay = await startRelay({
    host,
    port,
    admissionKeys: () => [...flags.admit, ...(file?.keys ?? [])],
    log,
    ...(flags.origin !== undefined && { origin: flags.origin }),
    ...(capture && { capture: capture.write }),
  });
  if (flags.admit.length + (file?.keys.length ?? 0) === 0) log("no admission keys: nobody is admitted (--admit)");

  const stop = async () => {
    file?.close();
    await relay.close();
    capture?.close();
  };
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop());
}

function log(line: string): void {
  process.stdout.write(`${new Date().toISOString()} ${line}\n`);
}

function complain(error: unknown): void {
  if (!isFedError(error)) throw error;
  process.stderr.write(`${error.code}: ${error.message}\n${error.hint === undefined ? "" : `  ${error.hint}\n`}`);
}

try {
  await program.parseAsync();
} catch (error) {
  complain(error);
  process.exitCode = 1;
}
