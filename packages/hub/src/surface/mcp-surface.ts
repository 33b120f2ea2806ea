/** What an agent sees on `/mcp`: four tools that reach every app of the fleet. Hub, app and tool are separate fields. */
import { type Json, toFedError } from "@fed/core";
import type { AppStatus, Notification } from "@fed/router";
import {
  type CallToolResult,
  McpServer,
  type McpServerFactory,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { z } from "zod";
import { HubError } from "../errors.js";
import { passedMeta } from "../hop-meta.js";
import type { Operator } from "../operators/operator.js";

/** One app as `apps.list` shows it. */
export interface ListedApp {
  readonly hub: string;
  readonly hubId: string;
  readonly app: string;
  readonly title?: string;
  readonly description?: string;
  /** `local`, the transport that reaches it now, or `none`. */
  readonly path: string;
  readonly status: AppStatus | "offline";
  /** Whether this is what was last known and not what the hub says now. */
  readonly stale: boolean;
}

/** The hub behind the surface. */
export interface SurfaceBackend {
  list(options: { readonly operator: Operator; readonly signal?: AbortSignal }): Promise<ListedApp[]>;
  /** Sends one MCP request to an app, wherever it is, and returns its result verbatim. */
  request(
    target: {
      readonly hub: string | undefined;
      readonly app: string;
      readonly method: string;
      readonly params: Record<string, unknown>;
    },
    options: {
      readonly operator: Operator;
      readonly signal?: AbortSignal;
      readonly idempotencyKey?: string;
      readonly onNotification?: (notification: Notification) => void;
    },
  ): Promise<unknown>;
}

const hubField = z.string().min(1).max(64).describe("The hub's name or id. Left out: the one hub that has the app.");
const appField = z.string().min(1).max(64).describe("The app's name on that hub.");
const describeInput = z.object({ hub: hubField.optional(), app: appField });
const searchInput = z.object({
  query: z.string().min(1).max(256).describe("Words to look for in app and tool names and descriptions."),
});
const callInput = z.object({
  hub: hubField.optional(),
  app: appField,
  tool: z.string().min(1).max(128).describe("The tool's name, as apps.describe shows it."),
  arguments: z.record(z.string(), z.unknown()).optional().describe("The tool's arguments."),
  idempotencyKey: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe("Repeat a call of unknown outcome under the key it had: within 10 minutes it runs at most once."),
});

interface ToolsPage {
  readonly tools?: readonly { readonly name: string; readonly title?: string; readonly description?: string }[];
  readonly nextCursor?: string;
}

/** Makes one MCP server per request, for the operator that the HTTP layer authenticated. */
export function createSurface(backend: SurfaceBackend): McpServerFactory {
  return ({ authInfo }) => {
    const operator = authInfo?.extra?.operator as Operator | undefined;
    if (!operator)
      throw new HubError({ code: "UNAUTHENTICATED", message: "The surface was reached without an operator." });
    const server = new McpServer(
      { name: "fed", title: "fed hub", version: "0.0.0" },
      {
        capabilities: { tools: {} },
        instructions:
          "This hub reaches the apps of a whole fleet. Find them with apps.list or apps.search, see an app's tools with apps.describe, use one with app.call.",
      },
    );
    const readOnly = { readOnlyHint: true, openWorldHint: true };

    server.registerTool(
      "apps.list",
      {
        title: "List apps",
        description: "Every app you may use, on every hub, with where it is and by which path.",
        inputSchema: z.object({}),
        annotations: readOnly,
      },
      (_input, context) =>
        answer(async () => ({ apps: await backend.list({ operator, signal: context.mcpReq.signal }) }), {}),
    );
    server.registerTool(
      "apps.describe",
      {
        title: "Describe an app",
        description: "The tools of one app, with their input schemas.",
        inputSchema: describeInput,
        annotations: readOnly,
      },
      ({ hub, app }, context) =>
        answer(async () => ({ tools: await allTools(backend, { hub, app }, operator, context.mcpReq.signal) }), {
          hub,
          app,
        }),
    );
    server.registerTool(
      "apps.search",
      {
        title: "Search apps",
        description: "Apps and tools whose name or description holds all the words.",
        inputSchema: searchInput,
        annotations: readOnly,
      },
      ({ query }, context) => answer(() => search(backend, query, operator, context.mcpReq.signal), {}),
    );
    server.registerTool(
      "app.call",
      {
        title: "Call a tool",
        description: "Calls one tool of one app, on any hub.",
        inputSchema: callInput,
        annotations: { openWorldHint: true },
      },
      (input, context) => callTool(backend, input, operator, context),
    );
    return server;
  };
}

async function callTool(
  backend: SurfaceBackend,
  input: z.infer<typeof callInput>,
  operator: Operator,
  { mcpReq }: ServerContext,
): Promise<CallToolResult> {
  const { hub, app, tool } = input;
  const progressToken = mcpReq._meta?.progressToken;
  try {
    const result = await backend.request(
      {
        hub,
        app,
        method: "tools/call",
        params: { name: tool, arguments: input.arguments ?? {}, ...passedMeta(mcpReq._meta) },
      },
      {
        operator,
        signal: mcpReq.signal,
        idempotencyKey: input.idempotencyKey,
        onNotification:
          progressToken === undefined
            ? undefined
            : ({ params }) =>
                // A client that is gone is heard of by the call's signal.
                void mcpReq
                  .notify({ method: "notifications/progress", params: { ...(params as object), progressToken } })
                  .catch(() => {}),
      },
    );
    return result as CallToolResult;
  } catch (error) {
    return failure(error, { hub, app });
  }
}

async function allTools(
  backend: SurfaceBackend,
  target: { hub: string | undefined; app: string },
  operator: Operator,
  signal: AbortSignal,
): Promise<NonNullable<ToolsPage["tools"]>> {
  const tools: NonNullable<ToolsPage["tools"]>[number][] = [];
  let cursor: string | undefined;
  for (let page = 0; page < 32; page++) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = (await backend.request(
      { ...target, method: "tools/list", params },
      { operator, signal },
    )) as ToolsPage;
    tools.push(...(answer.tools ?? []));
    cursor = answer.nextCursor;
    if (cursor === undefined) break;
  }
  return tools;
}

async function search(
  backend: SurfaceBackend,
  query: string,
  operator: Operator,
  signal: AbortSignal,
): Promise<object> {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (...texts: (string | undefined)[]) => {
    const text = texts.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  };
  const apps = await backend.list({ operator, signal });
  const found = await Promise.all(
    apps
      .filter((app) => app.status === "ready")
      .map(async ({ hub, hubId, app, title, description }) => {
        const about = { hub, app, title, description };
        const tools = await allTools(
          backend,
          { hub: hubId, app },
          operator,
          AbortSignal.any([signal, AbortSignal.timeout(3000)]),
        ).catch(() => []);
        const hits = tools.filter((tool) =>
          matches(hub, app, title, description, tool.name, tool.title, tool.description),
        );
        return { ...about, tools: hits.map((tool) => ({ name: tool.name, description: tool.description })) };
      }),
  );
  return {
    matches: found.filter((app) => app.tools.length > 0 || matches(app.hub, app.app, app.title, app.description)),
  };
}

async function answer(work: () => Promise<object>, where: { hub?: string; app?: string }): Promise<CallToolResult> {
  try {
    const structuredContent = (await work()) as Record<string, Json>;
    return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
  } catch (error) {
    return failure(error, where);
  }
}

/** A failure of the federation itself, as a tool result the agent can read and act on. */
export function failure(cause: unknown, where: { readonly hub?: string; readonly app?: string }): CallToolResult {
  const error = toFedError(cause);
  const { code, message, hint, retryable } = error;
  return {
    isError: true,
    content: [{ type: "text", text: `${code}: ${message}${hint ? ` ${hint}` : ""}` }],
    structuredContent: { error: { code, message, ...(hint ? { hint } : {}), ...where, retryable } },
  };
}
