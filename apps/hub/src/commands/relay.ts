/** `fed relay`: the self-hosted relay, the same as `fed-relay`. */
import { type RelayCommandOptions, relayOptions, runRelay } from "@fed/relay";
import type { Command } from "commander";
import type { Globals } from "../main.js";

/** Adds the command. */
export function addRelayCommand(program: Command, globals: () => Globals): void {
  relayOptions(program.command("relay").description("run a relay that forwards what it cannot read")).action(
    (options: RelayCommandOptions) => runRelay({ ...options, json: globals().json }),
  );
}
