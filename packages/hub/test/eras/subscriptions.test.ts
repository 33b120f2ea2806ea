/** What agents follow: fanned in to one subscription at the app, and acknowledged as far as the app can tell. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Hub } from "../../src/index.js";
import { pair, TestFleet } from "../fleet.js";
import { type Agent, type AgentKind, connectAgent } from "./agents.js";
import { Apps, program } from "./apps.js";
import { rawApp } from "./raw-app.js";

const apps = new Apps();
const fleet = new TestFleet();
const http = { host: "127.0.0.1", port: 0 };
let hubs: Record<"own" | "second", Hub>;

beforeAll(async () => {
  const capabilities = { tools: { listChanged: true }, prompts: {}, resources: { subscribe: false } };
  const configs = {
    notes: program("legacy-app.ts"),
    shy: await apps.listen(rawApp("old", () => ({ result: { tools: [] } }), capabilities)),
  };
  const { pc1, pc2 } = await pair(fleet, { pc1: { http }, pc2: { http, apps: configs } });
  for (const app of Object.keys(configs)) await pc2.sharing.share(app, "cluster");
  hubs = { own: pc2, second: pc1 };
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await apps[Symbol.asyncDispose]();
});

async function agentOf(kind: AgentKind, where: "own" | "second", app: string, name: string): Promise<Agent> {
  const hub = hubs[where];
  const { token } = await hub.operators.issueToken({ name, scope: "ReadWrite" });
  return connectAgent(kind, { url: `${hub.url}/apps/pc2/${app}/mcp`, token });
}

describe.each(["own", "second"] as const)("through the %s hub", (where) => {
  it("only what the app can tell is acknowledged", async () => {
    await using agent = await agentOf("new", where, "shy", "ann");
    expect(await agent.follow("test://one")).toEqual({ toolsListChanged: true });
  });

  it("agents of both eras and two operators share one subscription, until the last is gone", async () => {
    const uri = `test://${where}`;
    await using teller = await agentOf("old", where, "notes", "cyd");
    const heard = async () => (JSON.parse(await teller.call("heard")) as string[]).filter((line) => line.endsWith(uri));
    const ann = await agentOf("new", where, "notes", "ann");
    const bob = await agentOf("old", where, "notes", "bob");
    expect(await ann.follow(uri)).toMatchObject({ resourceSubscriptions: [uri] });
    await expect.poll(heard).toEqual([`subscribe ${uri}`]);
    await bob.follow(uri);
    const updates = (agent: Agent) => agent.told.filter(({ params }) => params?.uri === uri).length;
    await expect
      .poll(async () => {
        await teller.call("change", { what: uri });
        return updates(bob) > 0 && updates(ann) > 0;
      })
      .toBe(true);
    expect(updates(teller)).toBe(0);
    await ann[Symbol.asyncDispose]();
    const before = updates(bob);
    await expect
      .poll(async () => {
        await teller.call("change", { what: uri });
        return updates(bob) > before;
      })
      .toBe(true);
    expect(await heard()).toEqual([`subscribe ${uri}`]);
    await bob[Symbol.asyncDispose]();
    await expect.poll(heard).toEqual([`subscribe ${uri}`, `unsubscribe ${uri}`]);
  });
});
