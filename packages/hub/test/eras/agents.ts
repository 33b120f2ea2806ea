/** Agents of both eras on the official clients, with one face: what they are asked and told is kept. */
import { Client as ModernClient, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as LegacyClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ProgressNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

/** Which revision an agent speaks. */
export type AgentKind = "old" | "new";

/** What an agent was told. */
export interface Told {
  readonly method: string;
  readonly params?: Record<string, unknown>;
}

type Answer = (params: Record<string, unknown>) => unknown;

/** What an agent answers to each method it may be asked; a throw is a JSON-RPC error. */
export type Answers = Partial<Record<"elicitation/create" | "sampling/createMessage" | "roots/list", Answer>>;

/** An agent that is connected. */
export interface Agent extends AsyncDisposable {
  readonly told: Told[];
  readonly asked: Told[];
  answers: Answers;
  readonly instructions: string | undefined;
  readonly capabilities: Record<string, unknown>;
  /** One request, its result as the client hands it on. */
  request(method: string, params?: Record<string, unknown>, signal?: AbortSignal): Promise<Record<string, unknown>>;
  /** The text of a tool's result, by the client's own `callTool`. */
  call(name: string, args?: Record<string, unknown>, signal?: AbortSignal): Promise<string>;
  /** Follows every list, and these resources. @returns what is followed, where the revision tells. */
  follow(...uris: string[]): Promise<Record<string, unknown> | undefined>;
}

/** Options of {@link connectAgent}. */
export interface AgentOptions {
  readonly url: string;
  readonly token: string;
  readonly answers?: Answers;
  /** Declares no capability. */
  readonly mute?: boolean;
}

const anything = z.looseObject({});
const everything = { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } };
const info = { name: "agent", version: "1.0.0" };

export function connectAgent(kind: AgentKind, options: AgentOptions): Promise<Agent> {
  return kind === "old" ? connectLegacy(options) : connectModern(options);
}

async function connectLegacy({ url, token, answers = {}, mute = false }: AgentOptions): Promise<Agent> {
  const client = new LegacyClient(info, { capabilities: mute ? {} : everything });
  const told: Told[] = [];
  const asked: Told[] = [];
  const agent = describe(
    {
      told,
      asked,
      answers,
      instructions: undefined,
      capabilities: {},
      request: (method, params = {}, signal) =>
        client.request({ method, params }, anything, { timeout: 15_000, ...(signal && { signal }) }),
      async follow(...uris) {
        for (const uri of uris) await client.subscribeResource({ uri });
        return undefined;
      },
      [Symbol.asyncDispose]: () => client.close(),
    },
    (name, args, signal) =>
      client.callTool({ name, arguments: args }, undefined, { timeout: 15_000, ...(signal && { signal }) }),
    () => ({ instructions: client.getInstructions(), capabilities: client.getServerCapabilities() }),
  );
  const tell = async (notification: unknown) => void told.push(notification as Told);
  client.fallbackNotificationHandler = tell;
  client.setNotificationHandler(ProgressNotificationSchema, tell);
  if (!mute) {
    const answer = answering(agent);
    client.setRequestHandler(ElicitRequestSchema, answer as never);
    client.setRequestHandler(CreateMessageRequestSchema, answer as never);
    client.setRequestHandler(ListRootsRequestSchema, answer as never);
  }
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new LegacyTransport(new URL(url), { requestInit }) as never);
  return agent;
}

async function connectModern({ url, token, answers = {}, mute = false }: AgentOptions): Promise<Agent> {
  const client = new ModernClient(info, {
    capabilities: mute ? {} : everything,
    versionNegotiation: { mode: { pin: "2026-07-28" } },
  });
  const told: Told[] = [];
  const asked: Told[] = [];
  const agent = describe(
    {
      told,
      asked,
      answers,
      instructions: undefined,
      capabilities: {},
      request: (method, params = {}, signal) =>
        client.request({ method, params }, anything, { timeout: 15_000, ...(signal && { signal }) }),
      async follow(...uris) {
        const { honoredFilter } = await client.listen({
          toolsListChanged: true,
          promptsListChanged: true,
          resourcesListChanged: true,
          ...(uris.length > 0 && { resourceSubscriptions: uris }),
        });
        return honoredFilter as Record<string, unknown>;
      },
      [Symbol.asyncDispose]: () => client.close(),
    },
    (name, args, signal) => client.callTool({ name, arguments: args }, { timeout: 15_000, ...(signal && { signal }) }),
    () => ({ instructions: client.getInstructions(), capabilities: client.getServerCapabilities() }),
  );
  const tell = async (notification: unknown) => void told.push(notification as Told);
  client.fallbackNotificationHandler = tell;
  client.setNotificationHandler("notifications/progress", tell);
  if (!mute) {
    const answer = answering(agent);
    client.setRequestHandler("elicitation/create", answer as never);
    client.setRequestHandler("sampling/createMessage", answer as never);
    client.setRequestHandler("roots/list", answer as never);
  }
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  return agent;
}

function answering(agent: Agent) {
  return async ({ method, params = {} }: Told) => {
    agent.asked.push({ method, params });
    const answer = agent.answers[method as keyof Answers];
    if (!answer) throw new Error(`asked ${method}`);
    return answer(params);
  };
}

function describe(
  agent: Omit<Agent, "call">,
  callTool: (name: string, args: Record<string, unknown>, signal?: AbortSignal) => Promise<unknown>,
  facts: () => { instructions: string | undefined; capabilities: unknown },
): Agent {
  return Object.defineProperties(
    {
      ...agent,
      async call(name: string, args: Record<string, unknown> = {}, signal?: AbortSignal) {
        const { content } = (await callTool(name, args, signal)) as { content: { text: string }[] };
        return content[0]!.text;
      },
    },
    {
      instructions: { get: () => facts().instructions },
      capabilities: { get: () => facts().capabilities },
    },
  );
}
