/**
 * MCP `_meta` at a trust boundary. Keys of the protocol's own belong to one hop: they are taken off where a request comes in
 * and made anew for the next hop. What is left, trace context among it, travels as it came.
 */
import { isObject } from "./json-rpc.js";

/** The revision in whose terms hubs talk about MCP. */
export const modernRevision = "2026-07-28";

const reserved = "io.modelcontextprotocol/";
/** Reserved keys of MCP 2026-07-28. */
export const metaKeys = {
  protocolVersion: `${reserved}protocolVersion`,
  clientInfo: `${reserved}clientInfo`,
  clientCapabilities: `${reserved}clientCapabilities`,
  logLevel: `${reserved}logLevel`,
  subscriptionId: `${reserved}subscriptionId`,
  serverInfo: `${reserved}serverInfo`,
  relatedTask: `${reserved}related-task`,
} as const;

type Params = Record<string, unknown>;

/** What the agent at the far end says of itself, as far as an app may need it to answer. */
export interface AgentFacts {
  /** What the agent can do for an app, unchanged: `elicitation`, `sampling`, `roots`, extensions. */
  readonly capabilities: Record<string, unknown>;
  readonly clientInfo: Record<string, unknown> | undefined;
  /** The least severe log messages it asked for; undefined: none. */
  readonly logLevel: string | undefined;
  /** Whether it asked to hear of progress. */
  readonly progress: boolean;
}

/** The facts that `params._meta` states. */
export function agentFacts(params: Params): AgentFacts {
  const meta = isObject(params._meta) ? params._meta : {};
  const capabilities = meta[metaKeys.clientCapabilities];
  const clientInfo = meta[metaKeys.clientInfo];
  const logLevel = meta[metaKeys.logLevel];
  return {
    capabilities: isObject(capabilities) ? capabilities : {},
    clientInfo: isObject(clientInfo) ? clientInfo : undefined,
    logLevel: typeof logLevel === "string" ? logLevel : undefined,
    progress: meta.progressToken !== undefined,
  };
}

/** `params` with `facts` in its `_meta` and no other reserved key. A progress token only says that there is one. */
export function stampFacts(params: Params, facts: AgentFacts): Params {
  const stamp: Params = freeMeta(params._meta);
  stamp[metaKeys.clientCapabilities] = facts.capabilities;
  if (facts.clientInfo) stamp[metaKeys.clientInfo] = facts.clientInfo;
  if (facts.logLevel) stamp[metaKeys.logLevel] = facts.logLevel;
  if (facts.progress) stamp.progressToken = 0;
  return { ...params, _meta: stamp };
}

/** `params` as an app of revision 2026-07-28 wants it. */
export function modernParams(params: Params, facts: AgentFacts, progressToken: number): Params {
  const stamp: Params = freeMeta(params._meta);
  stamp[metaKeys.protocolVersion] = modernRevision;
  stamp[metaKeys.clientCapabilities] = facts.capabilities;
  stamp[metaKeys.clientInfo] = facts.clientInfo ?? hubInfo;
  if (facts.logLevel) stamp[metaKeys.logLevel] = facts.logLevel;
  if (facts.progress) stamp.progressToken = progressToken;
  return { ...params, _meta: stamp };
}

/** `params` as an app of an older revision wants it. */
export function legacyParams(params: Params, facts: AgentFacts, progressToken: number): Params {
  const stamp: Params = freeMeta(params._meta);
  if (facts.progress) stamp.progressToken = progressToken;
  const { _meta, ...rest } = params;
  return Object.keys(stamp).length > 0 ? { ...rest, _meta: stamp } : rest;
}

const ownData = { configurable: true, enumerable: true, writable: true };

/** The keys of `meta` that belong to no hop. */
export function freeMeta(meta: unknown): Params {
  const kept: Params = {};
  if (!isObject(meta)) return kept;
  for (const key in meta) {
    // Which task of 2025-11-25 a message belongs to is the same on every hop.
    if (key === "progressToken" || (key.startsWith(reserved) && key !== metaKeys.relatedTask)) continue;
    // Assigned, it would become the prototype, and what is in it a key of the protocol's again.
    if (key === "__proto__") Object.defineProperty(kept, key, { ...ownData, value: meta[key] });
    else kept[key] = meta[key];
  }
  return kept;
}

/** `params` without the key `name` in its `_meta`. */
export function withoutMetaKey(params: Params, name: string): Params {
  if (!isObject(params._meta) || !(name in params._meta)) return params;
  const { [name]: _gone, ...meta } = params._meta;
  const { _meta, ...rest } = params;
  return Object.keys(meta).length > 0 ? { ...rest, _meta: meta } : rest;
}

/** How the hub names itself to apps and to agents that ask the hub. */
export const hubInfo = { name: "fed", title: "fed hub", version: "0.0.0" };
