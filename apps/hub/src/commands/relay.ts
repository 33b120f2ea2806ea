/** `fed relay`: the self-hosted relay, the same as `fed-relay`. */
import { Command } from "commander";
import type { Globals } from "../main.js";

/** Adds the command. */
export function addRelayCommand(program: Command, globals: () => Globals): void {
  const relay = program
    .command("relay [options...]")
    .description("forward bytes between hubs that cannot reach each other; it can read none of them")
    // Its options belong to @fed/relay, which reads them: `fed --help` need not load it.
    .allowUnknownOption()
    .helpOption(false)
    .action(async (options: string[]) => {
      const { runRelay, withRelayOptions } = await import("@fed/relay");
      const itself = withRelayOptions(new Command("fed relay").copyInheritedSettings(relay).helpOption());
      itself.action(() => runRelay({ ...itself.opts(), json: globals().json }));
      await itself.parseAsync(options, { from: "user" });
    });
}
