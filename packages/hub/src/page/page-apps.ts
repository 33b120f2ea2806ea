/** The apps of a page: functions that see what only the page sees, called as the tools of an MCP app are. */
import { isAppName, oneLine, toFedError } from "@fed/core";
import type { AppContext, AppRequest, LocalApp, LocalApps, ToolDefinition } from "@fed/router";
import { riskOf } from "../consent/risk.js";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { complete, discoverResult } from "../mcp/modern-result.js";

/** A tool's result as MCP spells it. */
export interface PageToolResult {
  readonly content: readonly { readonly type: string; readonly [member: string]: unknown }[];
  readonly structuredContent?: Readonly<Record<string, unknown>>;
  readonly isError?: boolean;
}

/** One tool. */
export interface PageTool {
  readonly title?: string;
  readonly description?: string;
  /** JSON Schema of the arguments, for those who call; {@link run} judges for itself what comes. Default any object. */
  readonly inputSchema?: Readonly<Record<string, unknown>>;
  /** MCP's hints; `readOnlyHint: true` makes a tool that may be called with read scope, and repeated. */
  readonly annotations?: Readonly<Record<string, unknown>>;
  /** A text is one piece of content. What it throws is a result with `isError`, and its message the text. */
  run(
    args: Readonly<Record<string, unknown>>,
    context: AppContext,
  ): string | PageToolResult | Promise<string | PageToolResult>;
}

/** One app. */
export interface PageApp {
  readonly title?: string;
  readonly description?: string;
  /** By name, 1..256 characters on one line. */
  readonly tools: Readonly<Record<string, PageTool>>;
}

const maxApps = 256;
const maxTools = 1024;

/** @throws {HubError} APP_CONFIG_INVALID for a name that is none, or more than 256 apps or 1,024 tools of one. */
export function createPageApps(apps: Readonly<Record<string, PageApp>>): LocalApps {
  check(apps);
  const listed = Object.entries(apps).map(
    ([app, { title, description }]): LocalApp => ({
      app,
      ...(title !== undefined && { title }),
      ...(description !== undefined && { description }),
      status: "ready",
    }),
  );
  const definitions = new Map(
    Object.entries(apps).map(([app, { tools }]) => [app, Object.entries(tools).map(definitionOf)]),
  );
  const toolOf = (app: string, tool: unknown): PageTool | undefined => {
    const tools = definitions.has(app) ? apps[app]!.tools : {};
    return typeof tool === "string" && Object.hasOwn(tools, tool) ? tools[tool] : undefined;
  };

  async function callTool(app: string, params: Record<string, unknown>, context: AppContext): Promise<unknown> {
    const tool = toolOf(app, params.name);
    const args = params.arguments ?? {};
    if (!tool || !isObject(args)) {
      const message = tool ? "A tool's arguments are an object." : `App ${app} has no such tool.`;
      throw new HubError({ code: "REQUEST_INVALID", message, hint: "See the app's tools with `apps.describe`." });
    }
    try {
      const result = await tool.run(args, context);
      return typeof result === "string" ? { content: [{ type: "text", text: result }] } : { ...result };
    } catch (cause) {
      if (context.signal.aborted) throw toFedError(context.signal.reason);
      const { message } = cause instanceof Error ? cause : new Error(String(cause));
      return { content: [{ type: "text", text: oneLine(message, 1024) }], isError: true };
    }
  }

  return {
    list: () => listed,
    // What they are they stay.
    version: () => 0,
    tools: (app) => definitions.get(app),
    hints: (app, tool) => {
      const known = toolOf(app, tool);
      return known && { risk: riskOf(known.annotations) };
    },
    async call(app, { method, params = {} }: AppRequest, context) {
      const tools = definitions.get(app);
      if (!tools) {
        throw new HubError({
          code: "APP_UNKNOWN",
          message: `This hub has no app called ${app}.`,
          hint: "See `fed apps --all`.",
        });
      }
      if (!isObject(params)) {
        throw new HubError({ code: "REQUEST_INVALID", message: "The request's params are not an object." });
      }
      if (method === "ping") return {};
      if (method === "tools/list") return complete(method, { tools });
      if (method === "tools/call")
        return complete(method, (await callTool(app, params, context)) as Record<string, unknown>);
      if (method === "server/discover") {
        const serverInfo = { name: app, version: "1" };
        return discoverResult({
          capabilities: { tools: {} },
          _meta: { "io.modelcontextprotocol/serverInfo": serverInfo },
        });
      }
      throw new HubError({
        code: "METHOD_NOT_SUPPORTED",
        message: `An app of a page does not know ${oneLine(method, 128)}.`,
        hint: "It has tools, and nothing else.",
      });
    },
  };
}

function definitionOf([name, tool]: [string, PageTool]): ToolDefinition {
  const { run: _, inputSchema = { type: "object" }, ...rest } = tool;
  return { name, ...rest, inputSchema };
}

function check(apps: Readonly<Record<string, PageApp>>): void {
  const isToolName = (name: string) => name.length > 0 && oneLine(name, 256) === name;
  const entries = Object.entries(apps);
  const bad =
    entries.find(([app]) => !isAppName(app))?.[0] ??
    entries.flatMap(([, { tools }]) => Object.keys(tools)).find((tool) => !isToolName(tool));
  const many = entries.length > maxApps || entries.some(([, { tools }]) => Object.keys(tools).length > maxTools);
  if (bad === undefined && !many) return;
  throw new HubError({
    code: "APP_CONFIG_INVALID",
    message: many ? "These are too many apps or tools." : `"${oneLine(bad!, 64)}" cannot name an app or a tool.`,
    hint: "A page has at most 256 apps, each with at most 1,024 tools.",
  });
}
