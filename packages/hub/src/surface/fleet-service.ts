/** What an agent sees on `/mcp`: a few tools that reach every app of the fleet. Hub, app and tool are separate fields. */
import { createHash } from "node:crypto";
import type { Notification } from "@fed/router";
import type { AppAddress } from "../catalogue/fleet-catalogue.js";
import type {
  AppPage,
  DescribedApp,
  FoundPage,
  ListOptions,
  PageOptions,
  SearchOptions,
} from "../catalogue/listed-app.js";
import { HubError } from "../errors.js";
import { isObject } from "../mcp/json-rpc.js";
import { hubInfo, metaKeys, modernRevision } from "../mcp/meta.js";
import { type Operator, requireScope } from "../operators/operator.js";
import { valid } from "../valid.js";
import { type CallInput, type FleetTool, fleetInputs, isCallInput, scopeOf, toolsFor } from "./fleet-tools.js";
import type { McpRequestOptions, McpService } from "./mcp-service.js";
import { failure } from "./tool-failure.js";

/** The hub behind the surface. */
export interface FleetBackend {
  page(options: PageOptions): Promise<AppPage>;
  search(options: SearchOptions): Promise<FoundPage>;
  describe(address: AppAddress, options: ListOptions): Promise<DescribedApp>;
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
  launch(app: string): Promise<void>;
  stop(app: string): Promise<void>;
}

const instructions =
  "This hub reaches the apps of a whole fleet. Find them with apps.list or apps.search, see an app's tools with apps.describe, use one with app.call.";
const taskPrefix = "fed1.";

/** The service behind `/mcp`. */
export function createFleetService(backend: FleetBackend): McpService {
  return {
    request(method, params, options) {
      // What is asked most takes the shortest way.
      if (method === "tools/call" && params.name === "app.call") return callTool(backend, params, options);
      return answer(backend, method, params, options);
    },
  };
}

async function answer(
  backend: FleetBackend,
  method: string,
  params: Record<string, unknown>,
  options: McpRequestOptions,
): Promise<Record<string, unknown>> {
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
      return stamped({ tools: toolsFor(options.operator), ttlMs: 3_600_000, cacheScope: "private" });
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
}

async function callOwnTool(
  backend: FleetBackend,
  params: Record<string, unknown>,
  options: McpRequestOptions,
): Promise<Record<string, unknown>> {
  const name = params.name as keyof typeof tools;
  if (typeof name !== "string" || !Object.hasOwn(tools, name)) {
    throw new HubError({ code: "REQUEST_INVALID", message: `Tool ${String(name).slice(0, 128)} not found` });
  }
  const input = isObject(params.arguments) ? params.arguments : {};
  try {
    const answered = await tools[name](backend, input, options);
    return stamped({ content: [{ type: "text", text: JSON.stringify(answered) }], structuredContent: answered });
  } catch (cause) {
    return failure(cause, {});
  }
}

type Answer = Record<string, unknown>;
type Tool = (backend: FleetBackend, input: unknown, options: McpRequestOptions) => Promise<Answer>;

const tools: Readonly<Record<Exclude<FleetTool, "app.call">, Tool>> = {
  "apps.list": async (backend, input, { operator, signal }) => {
    const { apps, ...page } = await backend.page({ ...valid(fleetInputs["apps.list"], input), operator, signal });
    // An agent reads what is listed: of the tools it gets the names, and asks for what it wants to know.
    return { apps: apps.map((app) => ({ ...app, tools: app.tools?.map(({ name }) => name) })), ...page };
  },
  "apps.describe": async (backend, input, { operator, signal }) => ({
    ...(await backend.describe(valid(fleetInputs["apps.describe"], input), { operator, signal })),
  }),
  "apps.search": async (backend, input, { operator, signal }) => ({
    ...(await backend.search({ ...valid(fleetInputs["apps.search"], input), operator, signal })),
  }),
  "apps.launch": async (backend, input, { operator }) => {
    requireScope(operator, scopeOf("apps.launch"));
    const { app } = valid(fleetInputs["apps.launch"], input);
    await backend.launch(app);
    return { app, status: "ready" };
  },
  "apps.stop": async (backend, input, { operator }) => {
    requireScope(operator, scopeOf("apps.stop"));
    const { app } = valid(fleetInputs["apps.stop"], input);
    await backend.stop(app);
    return { app, status: "stopped" };
  },
};

/** `app.call`. */
async function callTool(
  backend: FleetBackend,
  { arguments: given, requestState, inputResponses, _meta, task }: Record<string, unknown>,
  { operator, signal, notify }: McpRequestOptions,
): Promise<Record<string, unknown>> {
  const input = isObject(given) ? given : {};
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
    if (isObject(result.task)) return { ...result, task: nameTask(result.task, target) };
    return result.resultType === "task" ? nameTask(result, target) : result;
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
function nameTask(
  task: Record<string, unknown>,
  { hub, app }: { hub?: string | undefined; app: string },
): Record<string, unknown> {
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

function stamped(result: Record<string, unknown>): Record<string, unknown> {
  return { resultType: "complete", ...result, _meta: { [metaKeys.serverInfo]: hubInfo } };
}
