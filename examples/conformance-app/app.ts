/** The app: what it is, and everything it has. One factory serves both eras of MCP, on any transport. */
import { McpServer, type McpServerFactory } from "@modelcontextprotocol/server";
import { registerChanges } from "./changes.ts";
import { registerInputRequired, requestState } from "./input-required.ts";
import { registerPrompts } from "./prompts.ts";
import { registerQuestions } from "./questions.ts";
import { registerResources } from "./resources.ts";
import type { AppState } from "./state.ts";
import { registerTools } from "./tools.ts";

/** Makes servers that share `state`: one for each connection, or for each request where there are no connections. */
export function createFactory(state: AppState): McpServerFactory {
  return (context) => {
    const server = new McpServer(
      { name: "conformance-app", title: "Conformance app", version: "1.0.0" },
      {
        capabilities: {
          completions: {},
          logging: {},
          prompts: { listChanged: true },
          resources: { listChanged: true, subscribe: true },
          tools: { listChanged: true },
        },
        cacheHints: { "server/discover": { ttlMs: 60_000, cacheScope: "public" } },
        instructions: "Has whatever the MCP conformance suite asks for.",
        requestState: { verify: requestState.verify },
      },
    );
    registerTools(server);
    registerQuestions(server);
    registerInputRequired(server);
    registerResources(server, state);
    registerPrompts(server);
    registerChanges(server, state, context);
    return server;
  };
}
