/** `fed mcp`: an MCP server on standard streams in front of the running hub, for clients that speak nothing else. */
import type { Client } from "@modelcontextprotocol/client";
import { Server } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import type { Command } from "commander";
import { requireRunning } from "../hub-client.js";
import { connectToHub } from "../hub-mcp-client.js";
import type { Globals } from "../main.js";

/** Adds the command. */
export function addMcpCommand(program: Command, globals: () => Globals): void {
  program
    .command("mcp")
    .description("serve the running hub over stdio")
    .action(async () => {
      const hub = await connectToHub(requireRunning(globals().dir));
      const ended = new Promise<void>((resolve) => process.stdin.once("close", resolve).once("end", resolve));
      const handle = serveStdio(() => forwarder(hub));
      await ended;
      await handle.close();
      await hub.close();
    });
}

/** Passes the tools of `hub` on, with progress and cancellation. */
function forwarder(hub: Client): Server {
  const server = new Server(
    { name: "fed", title: "fed hub", version: "0.0.0" },
    { capabilities: { tools: {} }, instructions: hub.getInstructions() },
  );
  server.setRequestHandler("tools/list", (_request, { mcpReq }) => hub.listTools({}, { signal: mcpReq.signal }));
  server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    return hub.callTool(
      { name: params.name, arguments: params.arguments },
      {
        signal: mcpReq.signal,
        timeout: 24 * 60 * 60_000,
        onprogress:
          progressToken === undefined
            ? undefined
            : (progress) =>
                void mcpReq.notify({ method: "notifications/progress", params: { ...progress, progressToken } }),
      },
    );
  });
  return server;
}
