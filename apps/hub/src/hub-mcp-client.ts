/** The CLI as an agent of its own hub: the same surface that every other agent uses. */
import type { RunFile } from "@fed/hub";
import {
  type CallToolResult,
  Client,
  ProtocolError,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { hubGone } from "./hub-client.js";
import { version } from "./version.js";

/** A client connected to the running hub's `/mcp`. */
export async function connectToHub(run: RunFile): Promise<Client> {
  const client = new Client({ name: "fed", version }, { versionNegotiation: { mode: "auto" } });
  const requestInit = { headers: { authorization: `Bearer ${run.token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${run.url}/mcp`), { requestInit }));
  return client;
}

/** What one of the hub's own tools answered. @throws {FedError} with the federation's code when it refused. */
export async function callHubTool(
  client: Client,
  name: string,
  args: Record<string, unknown>,
  options: { readonly onProgress?: (params: unknown) => void } = {},
): Promise<CallToolResult> {
  const result = await client
    .callTool(
      { name, arguments: args },
      // The hub's own deadline ends a call first.
      { onprogress: options.onProgress, timeout: 24 * 60 * 60_000 },
    )
    .catch((cause: unknown) => {
      throw cause instanceof ProtocolError ? cause : hubGone(cause);
    });
  if (result.isError) {
    const { failureOf } = await import("@fed/hub");
    const failure = failureOf(result);
    if (failure) throw failure;
  }
  return result;
}
