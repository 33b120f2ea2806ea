/** What apps ask: it reaches the agent whose call it is and nobody else, and a refusal reaches the app. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";
import { type Agent, type AgentKind, connectAgent } from "./agents.js";
import { Apps, program } from "./apps.js";
import { type Endpoint, LegacyAgent, messagesOf, modern, type RawMessage } from "./raw-agent.js";
import { type RawMessage as AppMessage, rawApp } from "./raw-app.js";
import { asking } from "./tools.js";

const apps = new Apps();
const fleet = new TestFleet();
const http = { host: "127.0.0.1", port: 0 };
const toRaw: AppMessage[] = [];
let hubs: Record<"own" | "second", Hub>;

/** Asks whatever the tool's name says, whether the agent can answer it or not. */
function insistent(message: AppMessage) {
  toRaw.push(message);
  const { method, params = {} } = message;
  if (method !== "tools/call") return { result: { tools: [] } };
  if (params.inputResponses) {
    const text = JSON.stringify(params.inputResponses);
    return { result: { resultType: "complete", content: [{ type: "text", text }] } };
  }
  const inputRequests = asking[String(params.name)]![0];
  return { result: { resultType: "input_required", inputRequests, requestState: "mine" } };
}

beforeAll(async () => {
  const configs = {
    stdio: program("legacy-app.ts"),
    sessions: await apps.start("old-sessions"),
    raw: await apps.listen(rawApp("new", insistent)),
  };
  const { pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: configs } });
  for (const app of Object.keys(configs)) await pc2.sharing.share(app, "cluster");
  hubs = { own: pc2, second: pc1 };
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

async function endpointOf(where: "own" | "second", app: string, name: string): Promise<Endpoint> {
  const hub = hubs[where];
  const { token } = await hub.operators.issueToken({ name, scope: "ReadWrite" });
  return { url: `${hub.url}/apps/pc2/${app}/mcp`, token };
}

async function agentOf(
  kind: AgentKind,
  where: "own" | "second",
  app: string,
  name: string,
  mute = false,
): Promise<Agent> {
  return connectAgent(kind, { ...(await endpointOf(where, app, name)), mute });
}

const form = (name: string) => ({ "elicitation/create": () => ({ action: "accept", content: { name } }) });
const heardBy = async (agent: Agent) => JSON.parse(await agent.call("heard")) as string[];
const both = ["old", "new"] as const;
const wheres = ["own", "second"] as const;

describe.each(wheres)("two operators at one app, through its %s hub", (where) => {
  it.each(both)("over one pipe, where nobody can tell whose call asks, nobody of the %s era is asked", async (kind) => {
    await using ann = await agentOf(kind, where, "stdio", "ann");
    await using bob = await agentOf(kind, where, "stdio", "bob");
    ann.answers = form("Ann");
    bob.answers = form("Bob");
    const label = `${kind} ${where}`;
    const stop = new AbortController();
    const waiting = ann.call("wait", { label }, stop.signal).catch(() => "stopped");
    await expect.poll(() => heardBy(bob)).toContain(`waiting ${label}`);
    expect(JSON.parse(await bob.call("ask-form"))).toEqual({
      who: { refused: -32601, message: expect.stringContaining("several operators") },
    });
    expect([...ann.asked, ...bob.asked]).toEqual([]);
    stop.abort();
    expect(await waiting).toBe("stopped");
    await expect.poll(() => heardBy(bob)).toContain(`cancelled ${label} true`);
    expect(JSON.parse(await bob.call("ask-form"))).toMatchObject({ who: { content: { name: "Bob" } } });
    expect(ann.asked).toEqual([]);
  });

  it.each(both)("over HTTP each of the %s era is asked by its own call", async (kind) => {
    await using ann = await agentOf(kind, where, "sessions", "ann");
    await using bob = await agentOf(kind, where, "sessions", "bob");
    ann.answers = form("Ann");
    bob.answers = form("Bob");
    const answers = await Promise.all([ann, bob, ann, bob].map((agent) => agent.call("ask-rounds")));
    const names = answers.map((text) => {
      const { first, second } = JSON.parse(text) as Record<string, { content: { name: string } }>;
      return [first!.content.name, second!.content.name];
    });
    expect(names).toEqual([
      ["Ann", "Ann"],
      ["Bob", "Bob"],
      ["Ann", "Ann"],
      ["Bob", "Bob"],
    ]);
  });

  it("only who began a call goes on with it, with the state as it was given", async () => {
    const ann = await endpointOf(where, "sessions", "ann");
    const bob = await endpointOf(where, "sessions", "bob");
    const { last } = await modern(ann, "tools/call", { name: "ask-form" });
    expect(last.result).toMatchObject({ resultType: "input_required" });
    const { inputRequests, requestState } = last.result as { inputRequests: object; requestState: string };
    const [key] = Object.keys(inputRequests);
    const inputResponses = { [key!]: { action: "accept", content: { name: "Ann" } } };
    const goOn = async (who: Endpoint, params: object) =>
      (await modern(who, "tools/call", { name: "ask-form", inputResponses, ...params })).last;

    const refused = { error: { code: -32602, data: { code: "INPUT_STATE_INVALID" } } };
    expect(await goOn(bob, { requestState })).toMatchObject(refused);
    expect(await goOn(ann, { requestState, name: "ask-url" })).toMatchObject(refused);
    const changed = `${requestState.slice(0, -4)}${requestState.endsWith("AAAA") ? "BBBB" : "AAAA"}`;
    expect(await goOn(ann, { requestState: changed })).toMatchObject(refused);
    expect(await goOn(ann, { requestState: "" })).toMatchObject(refused);
    expect(await goOn(ann, { requestState: 7 })).toMatchObject({ error: { code: -32602 } });
    expect((await goOn(ann, { requestState })).result).toMatchObject({ content: [{ type: "text" }] });
    expect(await goOn(ann, { requestState })).toMatchObject(refused);
  });
});

describe.each(wheres)("an agent that does not answer, through the %s hub", (where) => {
  const refusal = { code: -1, message: "The user rejected sampling.", data: { by: "ann" } };

  it.each(["ask-model", "ask-form", "ask-roots"])(
    "refuses %s with its own error, which an old app hears",
    async (tool) => {
      const agent = await LegacyAgent.open(await endpointOf(where, "stdio", "ann"));
      const { last } = await agent.request("tools/call", { name: tool }, () => ({ error: refusal }));
      const { content } = last.result as { content: { text: string }[] };
      expect(Object.values(JSON.parse(content[0]!.text) as object)).toEqual([
        { refused: -1, message: expect.stringContaining(refusal.message) },
      ]);
    },
  );

  it("ends a new app's call with its refusal, where that is no answer", async () => {
    const agent = await LegacyAgent.open(await endpointOf(where, "raw", "ann"));
    const ask = (name: string) => agent.request("tools/call", { name }, () => ({ error: refusal }));
    expect((await ask("ask-model")).last.error).toEqual(refusal);
    expect((await ask("ask-form")).last.result).toMatchObject({ content: [{ text: '{"who":{"action":"cancel"}}' }] });
    expect(JSON.stringify(toRaw)).not.toContain("fed/");
  });

  it.each(both)("is of the %s era and declared nothing: it is not asked", async (kind) => {
    await using mute = await agentOf(kind, where, "stdio", "ann", true);
    expect(JSON.parse(await mute.call("ask-many"))).toEqual({
      who: { refused: -32601, message: expect.stringContaining("elicitation/create") },
      words: { refused: -32601, message: expect.stringContaining("sampling/createMessage") },
      folders: { refused: -32601, message: expect.stringContaining("roots/list") },
    });
  });

  it("is not sent to a page when it knows only forms", async () => {
    const agent = await LegacyAgent.open(await endpointOf(where, "stdio", "ann"), { elicitation: {} });
    const answer = () => ({ result: { action: "accept", content: { name: "Ann" } } });
    const sent = await agent.request("tools/call", { name: "ask-url" }, answer);
    expect(sent.before).toEqual([]);
    expect(JSON.stringify(sent.last.result)).toContain("-32601");
    const shown = await agent.request("tools/call", { name: "ask-form" }, answer);
    expect(shown.before).toMatchObject([{ method: "elicitation/create" }]);
  });

  it("is not asked by a new app what it has not declared", async () => {
    const agent = await LegacyAgent.open(await endpointOf(where, "raw", "ann"), {});
    const { before, last } = await agent.request("tools/call", { name: "ask-model" }, () => ({ result: {} }));
    expect(before).toEqual([]);
    expect(last.error).toMatchObject({ code: -32601, message: expect.stringContaining("sampling/createMessage") });
  });

  it.each(["cancels", "goes away"])("%s while it is asked: the app stops", async (how) => {
    const endpoint = await endpointOf(where, "stdio", "ann");
    const agent = await LegacyAgent.open(endpoint);
    const gone = new AbortController();
    const id = `${how} ${where}`;
    const params = { name: "ask-or-wait", arguments: { label: id } };
    const response = await agent.send({ id, method: "tools/call", params }, gone.signal);
    const messages = messagesOf(response);
    const asked = (await messages.next()).value as RawMessage;
    expect(asked.method).toBe("elicitation/create");
    if (how === "cancels") await agent.send({ method: "notifications/cancelled", params: { requestId: id } });
    else gone.abort();
    const heard = async () => JSON.stringify((await agent.request("tools/call", { name: "heard" })).last.result);
    await expect.poll(heard).toContain(`cancelled ${id}`);
  });

  it.each(["token", "operator"])("and whose %s is revoked: the app stops", async (what) => {
    const hub = hubs[where];
    const label = `${what} ${where}`;
    const { token, id, operator } = await hub.operators.issueToken({ name: `eve-${what}`, scope: "ReadWrite" });
    const endpoint = { url: `${hub.url}/apps/pc2/stdio/mcp`, token };
    const { last } = await modern(endpoint, "tools/call", { name: "ask-or-wait", arguments: { label } });
    expect(last.result).toMatchObject({ resultType: "input_required" });
    if (what === "token") await hub.operators.revokeToken(id);
    else await hubs.second.cluster.revoke({ kind: "operator", id: operator }, "gone");
    await using ann = await agentOf("new", where, "stdio", "ann");
    await expect.poll(() => heardBy(ann)).toContain(`cancelled ${label}`);
  });
});
