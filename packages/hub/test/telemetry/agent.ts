/** An agent that says exactly what it is told, over HTTP, in the terms of MCP 2026-07-28. */

/** What an agent's request may say beside the tool and its arguments. */
export interface Carriers {
  readonly meta?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Calls `tool` at the endpoint `path` of the hub at `url` and returns the answer's JSON-RPC message. */
export async function postCall(
  { url, token, path }: { readonly url: string; readonly token: string; readonly path: string },
  tool: string,
  args: object,
  { meta = {}, headers = {} }: Carriers = {},
): Promise<{ readonly result?: { readonly isError?: boolean }; readonly error?: { readonly code: number } }> {
  const answer = await fetch(`${url}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": tool,
      ...headers,
    },
    body: JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: {
        name: tool,
        arguments: args,
        _meta: {
          "io.modelcontextprotocol/protocolVersion": "2026-07-28",
          "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
          "io.modelcontextprotocol/clientCapabilities": {},
          ...meta,
        },
      },
    }),
  });
  const text = await answer.text();
  return JSON.parse(/^data: (.*)$/m.exec(text)?.[1] ?? text);
}
