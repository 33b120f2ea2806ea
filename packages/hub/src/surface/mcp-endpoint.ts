/** `/mcp`: both eras of MCP over Streamable HTTP, for the operator that the HTTP layer has authenticated. */
import type { Clock } from "@fed/core";
import {
  type AuthInfo,
  createMcpHandler,
  isLegacyRequest,
  type McpServerFactory,
  readRequestBody,
} from "@modelcontextprotocol/server";
import type { Operator } from "../operators/operator.js";
import { createLegacySessions } from "./legacy-sessions.js";

/** See the module header. */
export interface McpEndpoint {
  fetch(request: Request, operator: Operator): Promise<Response>;
  /** Ends open exchanges. */
  close(): Promise<void>;
}

/** An endpoint whose servers `factory` makes. Bodies have at most `maxBodyBytes`. */
export function createMcpEndpoint(
  factory: McpServerFactory,
  { clock, maxBodyBytes }: { readonly clock: Clock; readonly maxBodyBytes: number },
): McpEndpoint {
  const handler = createMcpHandler(factory, { maxRequestBodySize: maxBodyBytes });
  const legacy = createLegacySessions(factory, clock);

  return {
    async fetch(request, operator) {
      const authInfo: AuthInfo = {
        token: "",
        clientId: operator.principal,
        scopes: [operator.scope],
        extra: { operator },
      };
      let parsedBody: unknown;
      if (request.method === "POST") {
        const body = await readRequestBody(request, maxBodyBytes);
        if (body.tooLarge) return refusal(413, -32000, `The request has more than ${maxBodyBytes} bytes.`);
        try {
          parsedBody = JSON.parse(body.text);
        } catch {
          return refusal(400, -32700, "Parse error");
        }
      }
      const answer = (await isLegacyRequest(request, parsedBody))
        ? await legacy.handle(request, parsedBody, authInfo)
        : undefined;
      // A legacy request without a session is served by itself.
      return answer ?? handler.fetch(request, { authInfo, parsedBody });
    },
    async close() {
      await legacy.close();
      await handler.close();
    },
  };
}

/** An error as JSON-RPC has it. */
function refusal(status: 400 | 413, code: number, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
}
