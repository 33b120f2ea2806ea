/** `fed share` and `fed unshare`: who may use which app of this hub. */
import type { Hub } from "@fed/hub";
import type { Command } from "commander";
import { onHub, request } from "../hub-client.js";
import type { Globals } from "../main.js";
import { print } from "../output.js";

type Policy = Hub["sharing"]["policy"];

/** Adds the commands. */
export function addSharingCommands(program: Command, globals: () => Globals): void {
  for (const change of ["share", "unshare"] as const) {
    program
      .command(`${change} <app> <target>`)
      .description(
        change === "share"
          ? "let others use an app: local, cluster, role:R, principal:P or link:L"
          : "take it back again",
      )
      .option("--tool <name>", "this tool alone; a trailing * matches what follows")
      .action(async (app: string, target: string, { tool }: { tool?: string }) => {
        const { dir, json } = globals();
        const policy = await onHub(
          dir,
          (run) => request<Policy>(run, "POST", `/${change}`, { app, target, tool }),
          async (hub) => {
            await hub.sharing[change](app, target, { tool });
            return hub.sharing.policy;
          },
        );
        print(json, policy, ({ apps }) => `${app}: ${JSON.stringify(apps[app] ?? { share: "LocalOnly" })}`);
      });
  }
}
