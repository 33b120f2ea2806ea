/** `fed relay`: the self-hosted relay, the same as `fed-relay`. */
import { type RelayCommandOptions, runRelay, withRelayOptions } from "@fed/relay";
import type { Command } from "commander";
import type { Globals } from "../main.js";

/** Adds the command. */
export function addRelayCommand(program: Command, globals: () => Globals): void {
  withRelayOptions(program.command("relay")).action((options: RelayCommandOptions) =>
    runRelay({ ...options, json: globals().json }),
  );
}
