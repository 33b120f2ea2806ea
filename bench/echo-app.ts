/** The cheapest real app: an MCP server with one tool that returns its text; and calling it without a hub. */
import { Client, InMemoryTransport, type Transport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { z } from "zod";

/** How a hub, or a client, starts the app on standard streams. */
export const echoCommand = {
  command: process.execPath,
  args: [new URL("./echo-stdio.ts", import.meta.url).pathname],
} as const;

export function createEchoServer(): McpServer {
  const server = new McpServer({ name: "echo", version: "1.0.0" }, { capabilities: { tools: {} } });
  server.registerTool("echo", { inputSchema: z.object({ text: z.string() }) }, ({ text }) => ({
    content: [{ type: "text", text }],
  }));
  return server;
}

/** A client of the app, connected as a hub connects to it. */
export interface EchoClient extends AsyncDisposable {
  echo(text: string): Promise<string>;
}

/** The app in this process. */
export function connectInProcess(): Promise<EchoClient> {
  const [clientEnd, serverEnd] = InMemoryTransport.createLinkedPair();
  serveStdio(createEchoServer, { transport: serverEnd });
  return connectClient(clientEnd);
}

/** The app as a child process. */
export function connectStdio(): Promise<EchoClient> {
  return connectClient(new StdioClientTransport({ command: echoCommand.command, args: [...echoCommand.args] }));
}

/** What the tool returned. */
export function textOf(result: unknown): string {
  return (result as { content: [{ text: string }] }).content[0].text;
}

async function connectClient(transport: Transport): Promise<EchoClient> {
  const client = new Client({ name: "bench", version: "1.0.0" }, { versionNegotiation: { mode: "auto" } });
  await client.connect(transport);
  const anyResult = z.looseObject({});
  return {
    echo: async (text) =>
      textOf(
        await client.request({ method: "tools/call", params: { name: "echo", arguments: { text } } }, anyResult, {
          allowInputRequired: true,
        }),
      ),
    [Symbol.asyncDispose]: () => client.close(),
  };
}
