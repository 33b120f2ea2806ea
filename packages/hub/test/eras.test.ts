/**
 * Agents and apps of both eras, in every combination, through the transparent endpoint: of the hub that has the app, and of
 * another hub of its cluster.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AppConfig, Hub } from "../src/index.js";
import { type Agent, type AgentKind, connectAgent } from "./eras/agents.js";
import { type AppKind, Apps, appKinds } from "./eras/apps.js";
import { completionFor, content, contentsOf, failures, messagesFor, prompts, resources, tools } from "./eras/tools.js";
import { pair, TestFleet } from "./fleet.js";

const http = { host: "127.0.0.1", port: 0 };
const apps = new Apps();
const fleet = new TestFleet();
let pc1: Hub;
let pc2: Hub;

beforeAll(async () => {
  const configs: Record<string, AppConfig> = {};
  for (const kind of appKinds) configs[kind] = await apps.start(kind);
  ({ pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: configs } }));
  for (const kind of appKinds) await pc2.sharing.share(kind, "cluster");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

/** An agent at `hub` that uses an app of pc2. */
async function agentAt(
  hub: Hub,
  kind: AgentKind,
  app: AppKind,
  more: { name?: string; mute?: boolean } = {},
): Promise<Agent> {
  const { token } = await hub.operators.issueToken({ name: more.name ?? "ann", scope: "ReadWrite" });
  return connectAgent(kind, { url: `${hub.url}/apps/pc2/${app}/mcp`, token, ...(more.mute && { mute: true }) });
}

const ways = (["old", "new"] as const).flatMap((kind) =>
  (["own", "second"] as const).flatMap((where) => appKinds.map((app) => [kind, app, where] as const)),
);

describe.each(ways)("an agent of the %s era with the app %s through its %s hub", (kind, app, where) => {
  let agent: Agent;
  const isOld = app.startsWith("old");
  const asks = app !== "old-stateless";

  beforeAll(async () => {
    agent = await agentAt(where === "own" ? pc2 : pc1, kind, app);
  });
  afterAll(() => agent[Symbol.asyncDispose]());

  it("sees the app as it describes itself", async () => {
    expect(agent.instructions).toBe("Mind the gap.");
    expect(agent.capabilities).toMatchObject({
      completions: {},
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      experimental: { "example.com/vendor": { level: 2 } },
    });
    expect(await agent.request("tools/list")).toMatchObject({ tools });
  });

  it("gets content of every kind, and what no schema knows", async () => {
    expect(await agent.request("tools/call", { name: "content" })).toMatchObject(content);
  });

  it("uses resources, templates, prompts and completion", async () => {
    expect(await agent.request("resources/list")).toMatchObject({ resources });
    expect(await agent.request("resources/templates/list")).toMatchObject({
      resourceTemplates: [{ uriTemplate: "test://{id}" }],
    });
    expect(await agent.request("resources/read", { uri: "test://one" })).toMatchObject({
      contents: contentsOf("test://one"),
    });
    expect(await agent.request("prompts/list")).toMatchObject({ prompts });
    expect(await agent.request("prompts/get", { name: "greet", arguments: { whom: "Bo" } })).toMatchObject({
      messages: messagesFor("Bo"),
    });
    const ref = { type: "ref/prompt", name: "greet" };
    const argument = { name: "whom", value: "par" };
    expect(await agent.request("completion/complete", { ref, argument })).toMatchObject({
      completion: completionFor("par"),
    });
  });

  it("hears of progress in order, before the result", async () => {
    const before = agent.told.length;
    await agent.request("tools/call", {
      name: "progress",
      arguments: { to: 12 },
      _meta: { progressToken: `p-${app}` },
    });
    const steps = agent.told.slice(before).map(({ params }) => params);
    expect(steps).toEqual(
      Array.from({ length: 12 }, (_, i) => ({
        progressToken: `p-${app}`,
        progress: i + 1,
        total: 12,
        message: `step ${i + 1}`,
      })),
    );
  });

  it("cancels its own call and no other", async () => {
    const label = (name: string) => `${name}-${kind}-${where}`;
    const heard = async () => JSON.parse(await agent.call("heard")) as string[];
    const stop = { a: new AbortController(), b: new AbortController() };
    const calls = (["a", "b"] as const).map((name) =>
      agent.call("wait", { label: label(name) }, stop[name].signal).then(
        () => "result",
        () => "cancelled",
      ),
    );
    await expect.poll(heard).toEqual(expect.arrayContaining([`waiting ${label("a")}`, `waiting ${label("b")}`]));
    stop.a.abort();
    expect(await calls[0]).toBe("cancelled");
    if (asks) {
      await expect.poll(heard).toContain(`cancelled ${label("a")} true`);
      expect(await heard()).not.toContain(`cancelled ${label("b")} true`);
    }
    stop.b.abort();
    expect(await calls[1]).toBe("cancelled");
  });

  // The SDK v2 itself makes other errors of two of these, on either side.
  const own = Object.entries(failures).filter(
    ([how]) => how === "own" || (isOld && (how === "sign-in" || kind === "old")),
  );
  it.each(own)("gets the app's own JSON-RPC error: %s", async (how, failure) => {
    await expect(agent.request("tools/call", { name: "fail", arguments: { how } })).rejects.toMatchObject({
      code: failure.code,
      message: expect.stringContaining(failure.message),
      data: failure.data,
    });
  });

  it("uses methods that no specification knows", async () => {
    const params = { list: [{ x: null }], "example.com/y": 1 };
    expect(await agent.request("vendor/do", params)).toMatchObject({ method: "vendor/do", params, vendor: true });
    await expect(agent.request("nobody/knows")).rejects.toThrow("-32601");
  });

  if (asks)
    it("hears what is logged at its level and above", async () => {
      const level = "warning";
      if (kind === "old") await agent.request("logging/setLevel", { level });
      const before = agent.told.length;
      const _meta = kind === "old" ? undefined : { "io.modelcontextprotocol/logLevel": level };
      await agent.request("tools/call", { name: "log", ...(_meta && { _meta }) });
      expect(agent.told.slice(before).map(({ params }) => params?.level)).toEqual(["warning", "error"]);
    });

  const answers = async (tool: string) => JSON.parse(await agent.call(tool)) as Record<string, unknown>;
  if (asks)
    it.each([{ action: "accept", content: { name: "Cy" } }, { action: "decline" }, { action: "cancel" }])(
      "answers a form: $action",
      async (answer) => {
        agent.answers = { "elicitation/create": () => answer };
        expect(await answers("ask-form")).toEqual({ who: answer });
        expect(agent.asked.at(-1)).toMatchObject({ params: { mode: "form", message: "Who are you?" } });
      },
    );

  if (asks)
    it("is sent to a page, asked for words of its model and for its roots", async () => {
      const words = { role: "assistant", model: "m", content: { type: "text", text: "Hello." } };
      const roots = [{ uri: "file:///home/ann", name: "home" }];
      agent.answers = {
        "elicitation/create": () => ({ action: "accept" }),
        "sampling/createMessage": () => words,
        "roots/list": () => ({ roots }),
      };
      expect(await answers("ask-url")).toEqual({ consent: { action: "accept" } });
      expect(agent.asked.at(-1)).toMatchObject({ params: { mode: "url", url: "https://example.com/sign-in" } });
      expect(await answers("ask-model")).toEqual({ words });
      expect(agent.asked.at(-1)).toMatchObject({ params: { maxTokens: 16 } });
      expect(await answers("ask-roots")).toEqual({ folders: { roots } });
    });

  if (asks)
    it("answers several questions at once, and in several rounds", async () => {
      const words = { role: "assistant", model: "m", content: { type: "text", text: "Hello." } };
      agent.answers = {
        "elicitation/create": ({ message }) => ({ action: "accept", content: { name: String(message) } }),
        "sampling/createMessage": () => words,
        "roots/list": () => ({ roots: [] }),
      };
      expect(await answers("ask-many")).toEqual({
        who: { action: "accept", content: { name: "Who are you?" } },
        words,
        folders: { roots: [] },
      });
      expect(await answers("ask-rounds")).toEqual({
        first: { action: "accept", content: { name: "Who are you?" } },
        second: { action: "accept", content: { name: "And who else?" } },
      });
    });

  if (asks)
    it("hears of changes that it follows", async () => {
      await using other = await agentAt(where === "own" ? pc2 : pc1, kind, app);
      const heard = (one: Agent) =>
        one.told.map(({ method, params }) => [method, params?.uri].filter(Boolean).join(" "));
      const honoured = await other.follow("test://one");
      await agent.follow();
      if (kind === "new")
        expect(honoured).toMatchObject({ toolsListChanged: true, resourceSubscriptions: ["test://one"] });
      const before = agent.told.length;
      for (const what of ["tools", "prompts", "resources"]) {
        const method = `notifications/${what}/list_changed`;
        await expect
          .poll(async () => {
            await agent.call("change", { what });
            return [heard(agent), heard(other)];
          })
          .toEqual([expect.arrayContaining([method]), expect.arrayContaining([method])]);
      }
      await expect
        .poll(async () => {
          await agent.call("change", { what: "test://one" });
          return heard(other);
        })
        .toContain("notifications/resources/updated test://one");
      expect(heard(agent).slice(before).join()).not.toContain("resources/updated");
    });

  it("knows nothing of the hub in its requests' _meta", async () => {
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const _meta = {
      traceparent,
      "example.com/kept": [1],
      "io.modelcontextprotocol/forged": true,
      "io.modelcontextprotocol/subscriptionId": "x",
    };
    const { content } = (await agent.request("tools/call", { name: "echo", arguments: { a: 1 }, _meta })) as {
      content: { text: string }[];
    };
    const seen = JSON.parse(content[0]!.text) as { args: unknown; _meta: Record<string, unknown>; envelope?: object };
    expect(seen.args).toEqual({ a: 1 });
    expect(seen._meta).toMatchObject({ "example.com/kept": [1] });
    expect(seen._meta.traceparent).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-/);
    expect(JSON.stringify(seen)).not.toMatch(/forged|subscriptionId/);
    if (!isOld) {
      expect(seen.envelope).toMatchObject({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { name: "agent" },
        "io.modelcontextprotocol/clientCapabilities": { sampling: {} },
      });
    }
  });
});
