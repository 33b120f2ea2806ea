#!/usr/bin/env node
/** The `fed-relay` command. */
import { toFedError } from "@fed/core";
import { Command } from "commander";
import { type RelayCommandOptions, runRelay, withRelayOptions } from "./relay-command.js";

try {
  await withRelayOptions(new Command("fed-relay"))
    .action((options: RelayCommandOptions) => runRelay(options))
    .parseAsync();
} catch (cause) {
  const { code, message, hint } = toFedError(cause);
  process.stderr.write(`${code}: ${message}\n${hint === undefined ? "" : `  → ${hint}\n`}`);
  process.exitCode = 1;
}
