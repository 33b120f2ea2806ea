/** `fed mcp`: an MCP server on standard streams in front of the running hub, for clients that speak nothing else. */
import type { Command } from "commander";
import type { Globals } from "../main.js";

/** Adds the command. */
export function addMcpCommand(program: Command, globals: () => Globals): void {
  program
    .command("mcp")
    .description("serve the running hub over stdio")
    .action(async () => {
      const { serveHubOnStdio } = await import("../stdio-server.js");
      await serveHubOnStdio(globals().dir);
    });
}
