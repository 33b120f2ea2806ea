/** An app on the SDK v2 that knows nothing but 2026-07-28; run as a program it serves standard streams. */
import {
  InMemoryServerEventBus,
  inputRequired,
  type McpRequestContext,
  type McpServerFactory,
  ProtocolError,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
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

/** What all servers of one app share. */
export class ModernState {
  /** What happened to the app, for `heard` to tell. */
  readonly heard: string[] = [];
  readonly bus = new InMemoryServerEventBus();
}

/** Makes servers: one for each request over HTTP, one for the connection otherwise. */
export function createModernFactory({ heard, bus }: ModernState): McpServerFactory {
  return (context) => {
    const server = new Server(
      { name: "modern-app", version: "1.0.0" },
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
    server.setRequestHandler("tools/list", () => ({ tools }));
    server.setRequestHandler("resources/list", () => ({ resources }));
    server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates }));
    server.setRequestHandler("resources/read", ({ params }) => ({ contents: contentsOf(params.uri) }));
    server.setRequestHandler("prompts/list", () => ({ prompts }));
    server.setRequestHandler("prompts/get", ({ params }) => ({
      description: "A greeting.",
      messages: messagesFor(String(params.arguments?.whom)),
    }));
    server.setRequestHandler("completion/complete", ({ params }) => ({
      completion: completionFor(params.argument.value),
    }));
    server.fallbackRequestHandler = async ({ method, params }) => {
      if (method.startsWith("vendor/")) return { method, params, vendor: true };
      throw new ProtocolError(-32601, "Method not found");
    };
    server.setRequestHandler("tools/call", async ({ params }, { mcpReq }) => {
      const { name, arguments: args = {} } = params;
      const rounds = asking[name];
      if (rounds) return askAll(rounds, mcpReq) as never;
      switch (name) {
        case "content":
          return content as never;
        case "echo":
          return text({ args, _meta: mcpReq._meta, envelope: mcpReq.envelope });
        case "progress":
          for (let progress = 1; progress <= Number(args.to); progress++) {
            const progressToken = mcpReq._meta?.progressToken;
            if (progressToken === undefined) break;
            const params = { progressToken, progress, total: Number(args.to), message: `step ${progress}` };
            await mcpReq.notify({ method: "notifications/progress", params });
          }
          return text("done");
        case "log":
          for (const level of severities) await mcpReq.log(level, { level }, "app");
          return text("logged");
        case "wait":
          heard.push(`waiting ${args.label}`);
          await new Promise<void>((resolve) =>
            mcpReq.signal.addEventListener("abort", () => resolve(), { once: true }),
          );
          heard.push(`cancelled ${args.label} true`);
          return text("late");
        case "heard":
          return text(heard);
        case "fail": {
          const { code, message, data } = failures[args.how as keyof typeof failures];
          throw new ProtocolError(code, message, data);
        }
        case "change":
          change(String(args.what));
          return text("changed");
        default:
          throw new ProtocolError(-32602, `Tool ${name} not found`);
      }
    });
    const change = changing(server, bus, context);
    return server;
  };
}

/** Over HTTP the server is there for one request; who listens is served by the handler, which hears the bus. */
function changing(server: Server, bus: InMemoryServerEventBus, { requestInfo }: McpRequestContext) {
  return (what: string) => {
    const kind = `${what}_list_changed`;
    if (requestInfo) bus.publish((/^\w+$/.test(what) ? { kind } : { kind: "resource_updated", uri: what }) as never);
    else if (what === "tools") void server.sendToolListChanged();
    else if (what === "prompts") void server.sendPromptListChanged();
    else if (what === "resources") void server.sendResourceListChanged();
    else void server.sendResourceUpdated({ uri: what });
  };
}

/** The answers so far travel in the state; this app's agents are no enemies. */
function askAll(rounds: (typeof asking)[string], mcpReq: ServerContext["mcpReq"]) {
  const { round, answers } = JSON.parse(mcpReq.requestState<string>() ?? '{"round":-1,"answers":{}}') as {
    round: number;
    answers: Record<string, unknown>;
  };
  Object.assign(answers, mcpReq.inputResponses);
  const next = rounds[round + 1];
  if (!next) return text(answers);
  return inputRequired({
    inputRequests: next as never,
    requestState: JSON.stringify({ round: round + 1, answers }),
  });
}

if (process.argv[1] === import.meta.filename) serveStdio(createModernFactory(new ModernState()), { legacy: "reject" });
