/** A hub that is restarted: nobody who was connected has to begin anew. */
import { expect, it } from "vitest";
import { TestFleet } from "../fleet.js";
import { type AppKind, Apps } from "./apps.js";
import { LegacyAgent, messagesOf, modern, type RawMessage } from "./raw-agent.js";

const http = { host: "127.0.0.1", port: 0 };

it.each<AppKind>(["old-stdio", "old-sessions", "new-stdio", "new-http"])(
  "a session with the app %s goes on, with its log level and what it follows",
  async (kind) => {
    await using apps = new Apps();
    await using fleet = new TestFleet();
    const app = await apps.start(kind);
    const first = await fleet.hub("pc1", { http, apps: { app } });
    const { token } = await first.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const before = await LegacyAgent.open({ url: `${first.url}/apps/pc1/app/mcp`, token });
    await before.request("logging/setLevel", { level: "error" });
    await before.request("resources/subscribe", { uri: "test://one" });
    await before.request("resources/subscribe", { uri: "test://two" });
    await before.request("resources/unsubscribe", { uri: "test://two" });
    const inFlight = before.request("tools/call", { name: "wait", arguments: { label: "restart" } });
    const ended = inFlight.then(
      ({ last }) => last.error !== undefined || last.result?.isError === true || last.id === undefined,
      () => true,
    );
    await expect
      .poll(async () => JSON.stringify((await before.request("tools/call", { name: "heard" })).last))
      .toContain("waiting restart");
    await first.close();
    expect(await ended).toBe(true);

    const second = await fleet.hub("pc1", { http, apps: { app } });
    const after = before.at(`${second.url}/apps/pc1/app/mcp`);
    const logged = await after.request("tools/call", { name: "log" });
    expect(logged.last.result).toMatchObject({ content: [{ text: "logged" }] });
    expect(logged.before.map(({ params }) => params?.level)).toEqual(["error"]);

    const told: RawMessage[] = [];
    const stop = new AbortController();
    const stream = await after.listen(stop.signal);
    expect(stream.status).toBe(200);
    const listening = (async () => {
      for await (const message of messagesOf(stream)) told.push(message);
    })().catch(() => {});
    const heard = () => told.map(({ method, params }) => `${method} ${params?.uri ?? ""}`.trim());
    for (const [what, notification] of [
      ["test://one", "notifications/resources/updated test://one"],
      ["tools", "notifications/tools/list_changed"],
    ]) {
      await expect
        .poll(async () => {
          await after.request("tools/call", { name: "change", arguments: { what } });
          return heard();
        })
        .toContain(notification);
    }
    expect(heard().join()).not.toContain("test://two");
    stop.abort();
    await listening;
  },
);

it("a call that waits for its agent ends with the app; a question of before is nobody's", async () => {
  await using apps = new Apps();
  await using fleet = new TestFleet();
  const app = await apps.start("old-stdio");
  const first = await fleet.hub("pc1", { http, apps: { app } });
  const { token } = await first.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  const asked = await modern({ url: `${first.url}/apps/pc1/app/mcp`, token }, "tools/call", { name: "ask-form" });
  const { requestState, inputRequests } = asked.last.result as { requestState: string; inputRequests: object };
  await first.close();

  const second = await fleet.hub("pc1", { http, apps: { app } });
  const [key] = Object.keys(inputRequests);
  const inputResponses = { [key!]: { action: "accept", content: { name: "Ann" } } };
  const endpoint = { url: `${second.url}/apps/pc1/app/mcp`, token };
  const { last } = await modern(endpoint, "tools/call", { name: "ask-form", requestState, inputResponses });
  expect(last.error).toMatchObject({ code: -32602, data: { code: "INPUT_STATE_INVALID" } });
});

it("a new app's question outlives a restart, for it is all in the state", async () => {
  await using apps = new Apps();
  await using fleet = new TestFleet();
  const app = await apps.start("new-http");
  const first = await fleet.hub("pc1", { http, apps: { app } });
  const { token } = await first.operators.issueToken({ name: "ann", scope: "ReadWrite" });
  const asked = await modern({ url: `${first.url}/apps/pc1/app/mcp`, token }, "tools/call", { name: "ask-form" });
  const { requestState } = asked.last.result as { requestState: string };
  await first.close();

  const second = await fleet.hub("pc1", { http, apps: { app } });
  const inputResponses = { who: { action: "accept", content: { name: "Ann" } } };
  const endpoint = { url: `${second.url}/apps/pc1/app/mcp`, token };
  const { last } = await modern(endpoint, "tools/call", { name: "ask-form", requestState, inputResponses });
  expect(last.result).toMatchObject({ content: [{ text: JSON.stringify(inputResponses) }] });
});

it.each<AppKind>(["old-stdio", "new-stdio"])(
  "what an agent listens to ends with the app %s, so that it looks again",
  async (kind) => {
    await using apps = new Apps();
    await using fleet = new TestFleet();
    const hub = await fleet.hub("pc1", { http, apps: { app: await apps.start(kind) } });
    const { token } = await hub.operators.issueToken({ name: "ann", scope: "ReadWrite" });
    const agent = await LegacyAgent.open({ url: `${hub.url}/apps/pc1/app/mcp`, token });
    const stream = await agent.listen(AbortSignal.timeout(20_000));
    const ended = (async () => {
      for await (const _message of messagesOf(stream));
    })();
    await agent.request("tools/call", { name: "heard" });
    await hub.apps.restart("app");
    await ended;

    const again = await agent.listen(AbortSignal.timeout(20_000));
    expect(again.status).toBe(200);
    await again.body?.cancel();
  },
);
