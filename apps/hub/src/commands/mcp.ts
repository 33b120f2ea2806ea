/** `fed mcp`: an MCP server on standard streams in front of the running hub, for clients that speak nothing else. */
import type { Command } from "commander";
import type { Globals } from "../main.js";
import { CliError } from "../output.js";

/** Adds the command. */
export function addMcpCommand(program: Command, globals: () => Globals): void {
  program
    .command("mcp")
    .description("serve the running hub, or one app of the fleet, over stdio")
    .option("--app <HUB/APP>", "serve this app as if it were plugged in here, instead of the hub's own tools")
    .addHelpText(
      "after",
      "\nWith FED_TOKEN in the environment the agent has that token's rights; without, all of them.",
    )
    .action(async ({ app }: { app?: string }) => {
      const { serveHubOnStdio } = await import("../stdio-server.js");
      const token = process.env.FED_TOKEN || undefined;
      await serveHubOnStdio({ dir: globals().dir, path: app === undefined ? "/mcp" : appPath(app), token });
    });
}

/** Where the app's endpoint is. */
function appPath(address: string): string {
  const [hub, app, ...rest] = address.split("/");
  if (!hub || !app || rest.length > 0)
    throw new CliError({ code: "USAGE", message: `${address} is not HUB/APP.`, hint: "See `fed apps`." });
  return `/apps/${encodeURIComponent(hub)}/${encodeURIComponent(app)}/mcp`;
}
