/** An MCP server inside this process, reached over the SDK's in-memory transport pair. */
import { InMemoryTransport, type Transport } from "@modelcontextprotocol/client";
import type { McpServerFactory } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";

/** Serves `factory` and returns the client's end; the server's end closes with it. */
export function connectInProcess(factory: McpServerFactory): Transport {
  const [clientEnd, serverEnd] = InMemoryTransport.createLinkedPair();
  serveStdio(factory, { transport: serverEnd });
  return clientEnd;
}
