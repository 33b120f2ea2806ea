/** An app on the SDK before 2, which asks its client by requests; run as a program it serves standard streams. */
import { setImmediate as turn } from "node:timers/promises";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import type { RequestHandlerExtra } from "@modelcontextprotocol/sdk/shared/protocol.js";
import {
  CallToolRequestSchema,
  CompleteRequestSchema,
  GetPromptRequestSchema,
  ListPromptsRequestSchema,
  ListResourcesRequestSchema,
  ListResourceTemplatesRequestSchema,
  ListToolsRequestSchema,
  McpError,
  ReadResourceRequestSchema,
  type ServerNotification,
  type ServerRequest,
  SubscribeRequestSchema,
  UnsubscribeRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";
import {
  asking,
  completionFor,
  content,
  contentsOf,
  failures,
  messagesFor,
  prompts,
  resources,
  resourceTemplates,
  severities,
  text,
  tools,
} from "./tools.ts";

type Extra = RequestHandlerExtra<ServerRequest, ServerNotification>;

/** What happened to the app, for `heard` to tell. */
export type Heard = string[];

/** One server, for one connection. */
export function createLegacyServer(heard: Heard): Server {
  const server = new Server(
    { name: "legacy-app", version: "1.0.0" },
    {
      instructions: "Mind the gap.",
      capabilities: {
        completions: {},
        logging: {},
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        tools: { listChanged: true },
        experimental: { "example.com/vendor": { level: 2 } },
      },
    },
  );
  const subscribed = new Set<string>();
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(ListResourcesRequestSchema, () => ({ resources }));
  server.setRequestHandler(ListResourceTemplatesRequestSchema, () => ({ resourceTemplates }));
  server.setRequestHandler(ReadResourceRequestSchema, ({ params }) => ({ contents: contentsOf(params.uri) }));
  server.setRequestHandler(SubscribeRequestSchema, ({ params }) => {
    heard.push(`subscribe ${params.uri}`);
    subscribed.add(params.uri);
    return {};
  });
  server.setRequestHandler(UnsubscribeRequestSchema, ({ params }) => {
    heard.push(`unsubscribe ${params.uri}`);
    subscribed.delete(params.uri);
    return {};
  });
  server.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts }));
  server.setRequestHandler(GetPromptRequestSchema, ({ params }) => ({
    description: "A greeting.",
    messages: messagesFor(String(params.arguments?.whom)),
  }));
  server.setRequestHandler(CompleteRequestSchema, ({ params }) => ({
    completion: completionFor(params.argument.value),
  }));
  server.fallbackRequestHandler = async ({ method, params }) => {
    if (method.startsWith("vendor/")) return { method, params, vendor: true };
    throw new McpError(-32601, "Method not found");
  };
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    const { name, arguments: args = {}, _meta } = params;
    const { signal, sendNotification, requestId } = extra;
    const rounds = asking[name];
    if (rounds) return text(await askAll(rounds, extra));
    switch (name) {
      case "content":
        return content as never;
      case "echo":
        return text({ args, _meta });
      case "progress":
        for (let progress = 1; progress <= Number(args.to); progress++) {
          if (_meta?.progressToken === undefined) break;
          const { progressToken } = _meta;
          const params = { progressToken, progress, total: Number(args.to), message: `step ${progress}` };
          await sendNotification({ method: "notifications/progress", params });
        }
        return text("done");
      case "log":
        for (const level of severities) {
          const message = {
            method: "notifications/message" as const,
            params: { level, logger: "app", data: { level } },
          };
          if (extra.sessionId !== undefined || isStdio) await sendNotification(message);
        }
        return text("logged");
      case "wait":
        heard.push(`waiting ${args.label}`);
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
        heard.push(`cancelled ${args.label} ${requestId === extra.requestId}`);
        return text("late");
      case "ask-or-wait": {
        const stopped = new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        await Promise.race([askAll(asking["ask-form"]!, extra), stopped]);
        await stopped;
        heard.push(`cancelled ${args.label}`);
        return text("late");
      }
      case "heard":
        return text(heard);
      case "fail": {
        const { code, message, data } = failures[args.how as keyof typeof failures];
        throw Object.assign(new Error(message), { code, data });
      }
      case "change":
        await change(server, String(args.what), subscribed);
        return text("changed");
      default:
        throw new McpError(-32602, `Tool ${name} not found`);
    }
  });
  return server;
}

const isStdio = process.argv[1] === import.meta.filename;

async function askAll(rounds: (typeof asking)[string], { sendRequest }: Extra): Promise<Record<string, unknown>> {
  const answers: Record<string, unknown> = {};
  for (const round of rounds) {
    await Promise.all(
      Object.entries(round).map(async ([key, question]) => {
        answers[key] = await sendRequest(question as ServerRequest, z.looseObject({})).catch((cause: McpError) => ({
          refused: cause.code,
          message: cause.message,
        }));
      }),
    );
  }
  return answers;
}

async function change(server: Server, what: string, subscribed: ReadonlySet<string>): Promise<void> {
  if (what === "tools") await server.sendToolListChanged();
  else if (what === "prompts") await server.sendPromptListChanged();
  else if (what === "resources") await server.sendResourceListChanged();
  else if (subscribed.has(what)) await server.sendResourceUpdated({ uri: what });
  await turn();
}

if (isStdio) await createLegacyServer([]).connect(new StdioServerTransport());
