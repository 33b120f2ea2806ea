/** What an agent sees on `/mcp`: a few tools that reach every app of the fleet. Hub, app and tool are separate fields. */
import { createHash } from "node:crypto";
import type { Notification } from "@fed/router";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { hubInfo, metaKeys, modernRevision } from "../mcp/meta.js";
import type { Operator } from "../operators/operator.js";
import { valid } from "../valid.js";
import { type CallInput, type FleetTool, fleetInputs, fleetToolList, isCallInput } from "./fleet-tools.js";
import type { McpRequestOptions, McpService } from "./mcp-service.js";
import { failure } from "./tool-failure.js";

/** One app as `apps.list` shows it. */
export interface ListedApp {
  readonly hub: string;
  readonly hubId: string;
  readonly app: string;
  readonly title?: string;
  readonly description?: string;
  /** `local`, the transport that reaches it now, or `none`. */
  readonly path: string;
  readonly status: "ready" | "starting" | "failed" | "idle" | "stopped" | "offline";
  /** Whether this is what was last known and not what the hub says now. */
  readonly stale: boolean;
}

/** The hub behind the surface. */
export interface FleetBackend {
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
      readonly idempotencyKey?: string | undefined;
      readonly notify?: (notification: Notification) => void;
    },
  ): Promise<unknown>;
}

const instructions =
  "This hub reaches the apps of a whole fleet. Find them with apps.list or apps.search, see an app's tools with apps.describe, use one with app.call.";
const maxPages = 32;
const taskPrefix = "fed1.";

/** The service behind `/mcp`. */
export function createFleetService(backend: FleetBackend): McpService {
  return {
    async request(method, params, options) {
      switch (method) {
        case "server/discover":
          return stamped({
            supportedVersions: [modernRevision],
            capabilities: { tools: {} },
            instructions,
            ttlMs: 3_600_000,
            cacheScope: "private",
          });
        case "tools/list":
          return stamped({ tools: fleetToolList, ttlMs: 3_600_000, cacheScope: "private" });
        case "tools/call":
          return callOwnTool(backend, params, options);
        case "subscriptions/listen":
          // The tools here never change.
          options.notify({ method: "notifications/subscriptions/acknowledged", params: { notifications: {} } });
          return stamped({});
        case "tasks/get":
        case "tasks/update":
        case "tasks/cancel":
        case "tasks/result":
          return callTask(backend, method, params, options);
        default:
          throw new HubError({ code: "METHOD_NOT_SUPPORTED", message: `Method not found: ${method.slice(0, 128)}` });
      }
    },
  };
}

async function callOwnTool(
  backend: FleetBackend,
  params: Record<string, unknown>,
  options: McpRequestOptions,
): Promise<Record<string, unknown>> {
  const name = params.name as FleetTool;
  if (typeof name !== "string" || !Object.hasOwn(fleetInputs, name)) {
    throw new HubError({ code: "REQUEST_INVALID", message: `Tool ${String(name).slice(0, 128)} not found` });
  }
  const input = isObject(params.arguments) ? params.arguments : {};
  if (name === "app.call") return callTool(backend, input, params, options);
  try {
    const answer = await tools[name](backend, input, options);
    return stamped({ content: [{ type: "text", text: JSON.stringify(answer) }], structuredContent: answer });
  } catch (cause) {
    return failure(cause, {});
  }
}

type Answer = Record<string, unknown>;
type Tool = (backend: FleetBackend, input: unknown, options: McpRequestOptions) => Promise<Answer>;

const tools: Readonly<Record<Exclude<FleetTool, "app.call">, Tool>> = {
  "apps.list": async (backend, input, { operator, signal }) => {
    valid(fleetInputs["apps.list"], input);
    return { apps: await backend.list({ operator, signal }) };
  },
  "apps.describe": async (backend, input, options) => {
    const { hub, app } = valid(fleetInputs["apps.describe"], input);
    return { tools: await allTools(backend, { hub, app }, options) };
  },
  "apps.search": async (backend, input, options) =>
    search(backend, valid(fleetInputs["apps.search"], input).query, options),
};

async function callTool(
  backend: FleetBackend,
  input: Record<string, unknown>,
  { requestState, inputResponses, _meta, task }: Record<string, unknown>,
  { operator, signal, notify }: McpRequestOptions,
): Promise<Record<string, unknown>> {
  let target: CallInput;
  try {
    target = isCallInput(input) ? input : valid(fleetInputs["app.call"], input);
  } catch (cause) {
    return failure(cause, {});
  }
  const { hub, app, tool, idempotencyKey } = target;
  const params: Record<string, unknown> = { name: tool, arguments: target.arguments ?? {} };
  if (_meta !== undefined) params._meta = _meta;
  if (task !== undefined) params.task = task;
  if (requestState !== undefined) params.requestState = requestState;
  if (inputResponses !== undefined) params.inputResponses = inputResponses;
  try {
    const result = (await backend.request(
      { hub, app, method: "tools/call", params },
      { operator, signal, notify, idempotencyKey: idempotencyKey && roundKey(idempotencyKey, params) },
    )) as Record<string, unknown>;
    return isObject(result.task) ? { ...result, task: nameTask(result.task, target) } : result;
  } catch (cause) {
    return failure(cause, { hub, app });
  }
}

/** A call that goes on with an agent's input is another request than the one that asked for it. */
function roundKey(key: string, { requestState }: Record<string, unknown>): string {
  if (requestState === undefined) return key;
  return `${key}#${createHash("sha256").update(String(requestState)).digest("base64url").slice(0, 22)}`;
}

/** A task's id with the app that owns it, so that whoever asks for the task is led there. */
function nameTask(task: Record<string, unknown>, { hub, app }: { hub?: string | undefined; app: string }): unknown {
  if (typeof task.taskId !== "string") return task;
  const owner = Buffer.from(JSON.stringify([hub ?? null, app, task.taskId])).toString("base64url");
  return { ...task, taskId: `${taskPrefix}${owner}` };
}

async function callTask(
  backend: FleetBackend,
  method: string,
  params: Record<string, unknown>,
  { operator, signal, notify }: McpRequestOptions,
): Promise<Record<string, unknown>> {
  const [hub, app, taskId] = taskOwner(params.taskId);
  const target = { hub: hub ?? undefined, app, method, params: { ...params, taskId } };
  const result = (await backend.request(target, { operator, signal, notify })) as Record<string, unknown>;
  return typeof result.taskId === "string" ? { ...result, taskId: params.taskId } : result;
}

function taskOwner(taskId: unknown): [string | null, string, string] {
  try {
    const text = String(taskId);
    if (text.length > 1024 || !text.startsWith(taskPrefix)) throw new RangeError();
    const owner = JSON.parse(Buffer.from(text.slice(taskPrefix.length), "base64url").toString("utf8")) as unknown[];
    const [hub, app, id] = owner;
    if ((hub !== null && typeof hub !== "string") || typeof app !== "string" || typeof id !== "string")
      throw new RangeError();
    return [hub, app, id];
  } catch (cause) {
    throw new HubError({ code: "REQUEST_INVALID", message: "There is no such task.", cause });
  }
}

interface ToolsPage {
  readonly tools?: readonly { readonly name: string; readonly title?: string; readonly description?: string }[];
  readonly nextCursor?: string;
}

async function allTools(
  backend: FleetBackend,
  target: { readonly hub: string | undefined; readonly app: string },
  { operator, signal }: Pick<McpRequestOptions, "operator" | "signal">,
): Promise<NonNullable<ToolsPage["tools"]>> {
  const found: NonNullable<ToolsPage["tools"]>[number][] = [];
  let cursor: string | undefined;
  for (let page = 0; page < maxPages; page++) {
    const params = cursor === undefined ? {} : { cursor };
    const answer = (await backend.request(
      { ...target, method: "tools/list", params },
      { operator, signal },
    )) as ToolsPage;
    found.push(...(answer.tools ?? []));
    cursor = answer.nextCursor;
    if (cursor === undefined) break;
  }
  return found;
}

async function search(backend: FleetBackend, query: string, { operator, signal }: McpRequestOptions): Promise<Answer> {
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
        const soon = AbortSignal.any([signal, AbortSignal.timeout(3000)]);
        const listed = await allTools(backend, { hub: hubId, app }, { operator, signal: soon }).catch(() => []);
        const hits = listed.filter((tool) =>
          matches(hub, app, title, description, tool.name, tool.title, tool.description),
        );
        return {
          hub,
          app,
          title,
          description,
          tools: hits.map(({ name, description: text }) => ({ name, description: text })),
        };
      }),
  );
  return {
    matches: found.filter((app) => app.tools.length > 0 || matches(app.hub, app.app, app.title, app.description)),
  };
}

function stamped(result: Record<string, unknown>): Record<string, unknown> {
  return { resultType: "complete", ...result, _meta: { [metaKeys.serverInfo]: hubInfo } };
}
