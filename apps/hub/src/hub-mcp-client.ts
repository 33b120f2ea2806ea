/** The CLI as an agent of its own hub: the same surface that every other agent uses. */

import type { RunFile } from "@fed/hub";
import { failureOf } from "@fed/hub";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

/** A client connected to the running hub's `/mcp`. */
export async function connectToHub(run: RunFile): Promise<Client> {
  const client = new Client({ name: "fed", version: "0.0.0" }, { versionNegotiation: { mode: "auto" } });
  const requestInit = { headers: { authorization: `Bearer ${run.token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(`${run.url}/mcp`), { requestInit }));
  return client;
}

/** What one of the hub's own tools answered. @throws {FedError} with the federation's code when it refused. */
export async function callHubTool(
  client: Client,
  name: string,
  args: Record<string, unknown>,
  options: {
    readonly onProgress?: (params: unknown) => void;
    readonly signal?: AbortSignal;
    readonly timeoutMs?: number;
  } = {},
): Promise<Awaited<ReturnType<Client["callTool"]>>> {
  const result = await client.callTool(
    { name, arguments: args },
    {
      onprogress: options.onProgress,
      signal: options.signal,
      timeout: options.timeoutMs ?? 120_000,
      resetTimeoutOnProgress: true,
    },
  );
  const failure = failureOf(result);
  if (failure) throw failure;
  return result;
}
