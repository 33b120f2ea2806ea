/** A hub in a web page: headless Chromium, a relay and a hub on Node, nothing pretended. */
import { fileURLToPath } from "node:url";
import { expectCode } from "@fed/core/testing";
import { type RunningRelay, startRelay } from "@fed/relay";
import type { Browser, BrowserContext, CDPSession, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { bundleFromSource, launchBrowser, type Site, serveProgram } from "../../../../scripts/browser.js";
import type { Hub } from "../../src/index.js";
import { TestFleet } from "../fleet.js";
import type {} from "./program.js";

const browser = await launchBrowser();
if (typeof browser === "string") console.info(`skipped: ${browser}`);

// One life of a page hub, told in order: each test goes on where the one before has left it.
describe.skipIf(typeof browser === "string")("a hub in a web page", () => {
  const fleet = new TestFleet();
  let relay: RunningRelay;
  let site: Site;
  let context: BrowserContext;
  let page: Page;
  let devTools: CDPSession;
  let pc1: Hub;

  beforeAll(async () => {
    relay = await startRelay({ admissionKeys: [] });
    pc1 = await fleet.hub("pc1", { relays: [relay.url] });
    await pc1.cluster.create({ name: "home" });
    relay.addAdmissionKey(pc1.cluster.status().relayAdmissionKey);
    site = await serveProgram(await bundleFromSource(fileURLToPath(new URL("program.ts", import.meta.url))));
    context = await (browser as Browser).newContext();
    page = await open();
    devTools = await context.newCDPSession(page);
    await setQuota(4 * 1024 * 1024);
    await vi.waitUntil(() => pc1.cluster.status().relays[0]?.status === "up", { timeout: 20_000 });
  });
  afterAll(async () => {
    await context?.close();
    await fleet[Symbol.asyncDispose]();
    await relay?.close();
    await site?.[Symbol.asyncDispose]();
    await (browser as Browser).close();
  });

  /** A new tab of the site, in which nothing runs yet. */
  async function open(): Promise<Page> {
    const tab = await context.newPage();
    tab.on("pageerror", (error) => console.error("in the page:", error));
    await tab.goto(site.url);
    await tab.waitForFunction(() => typeof openHub === "function");
    return tab;
  }

  /** How many bytes the browser lets the site keep, as long as `devTools` is attached; default as many as it likes. */
  const setQuota = (quotaSize?: number) =>
    devTools.send("Storage.overrideQuotaForOrigin", {
      origin: new URL(site.url).origin,
      ...(quotaSize && { quotaSize }),
    });

  /** What `run` ends in there: its value, or its error's code. */
  const codeOf = (tab: Page, run: () => Promise<unknown>) =>
    tab.evaluate(`(${run})().then(() => "done", (error) => error.code ?? String(error))`) as Promise<string>;

  const operator = () => pc1.operators.local("ann");
  const call = (tool: string, args: Record<string, unknown> = {}, options = {}) =>
    pc1.apps.call({ hub: "page", app: "tab", tool, arguments: args }, { operator: operator(), ...options });
  const isAnswered = () =>
    call("title").then(
      () => true,
      () => false,
    );
  const decisions = async (): Promise<unknown[]> => {
    const records = await page.evaluate(() => hub.audit.tail(50));
    return records
      .filter(({ record }) => record.type === "call.decision")
      .map(({ record: { operator, tool, decision, rule } }) => ({ operator, tool, decision, rule }));
  };

  it("is in no cluster at first, and a token that is none does not change that", async () => {
    await page.evaluate(() => openHub());
    expect(await page.evaluate(() => hub.joined)).toBe(false);
    expect(await codeOf(page, async () => hub.cluster.status())).toBe("NOT_IN_CLUSTER");
    expect(await codeOf(page, () => hub.cluster.join("fedpair1.nothing"))).toBe("TOKEN_MALFORMED");
  });

  it("joins with a pairing token over the relay, with keys that it has made itself", async () => {
    const token = await pc1.cluster.invite();
    const joined = await page.evaluate((text) => hub.cluster.join(text), token);
    expect(joined).toEqual({ via: "relay", connected: true });
    const there = await page.evaluate(() => ({
      hubId: hub.hubId,
      status: hub.cluster.status(),
      peers: hub.cluster.peers(),
    }));
    const here = pc1.cluster.status();
    expect(there.status).toMatchObject({ clusterId: here.clusterId, manifestVersion: here.manifestVersion });
    expect(there.peers).toMatchObject([{ name: "pc1", state: "active", path: "relay" }]);
    expect(pc1.cluster.peers()).toMatchObject([{ hubId: there.hubId, name: "page", path: "relay" }]);
    expect(await codeOf(page, () => hub.cluster.join("fedpair1.again"))).toBe("ALREADY_IN_CLUSTER");
  });

  it("shares nothing until it is told to, and then serves what only a page can know", async () => {
    await expectCode(call("title"), "SHARING_DENIED");
    await page.evaluate(() => hub.sharing.share("tab", "cluster"));
    expect(await call("title")).toMatchObject({ content: [{ type: "text", text: "a page" }] });
    expect(await call("rename", { to: "named by ann" })).toMatchObject({
      structuredContent: { title: "named by ann" },
    });
    expect(await page.title()).toBe("named by ann");
    expect(await call("rename", { to: 7 })).toMatchObject({ isError: true, content: [{ text: "to is no text" }] });
    await expectCode(call("nothing"), "REQUEST_INVALID");
    const [app] = await pc1.apps.list({ operator: operator() });
    expect(app).toMatchObject({ app: "tab", title: "This tab", path: "relay", status: "ready" });
    expect(app?.tools?.map(({ name, risk }) => [name, risk])).toEqual([
      ["rename", "write"],
      ["title", "read"],
      ["wait", "write"],
    ]);
  });

  it("knows who asks, and has written down each decision before the effect", async () => {
    const { principal } = operator();
    const allowed = { operator: principal, decision: "allow", rule: "tab cluster" };
    const all = await decisions();
    expect(all[0]).toMatchObject({ operator: principal, tool: "title", decision: "deny" });
    expect(all.slice(1, 3)).toMatchObject([
      { ...allowed, tool: "title", rule: expect.any(String) },
      { ...allowed, tool: "rename", rule: expect.any(String) },
    ]);
    const { records } = await page.evaluate(() => hub.audit.verify());
    expect(records).toBeGreaterThan(6);
  });

  it("hears that a caller is gone, and tells of progress before", async () => {
    const controller = new AbortController();
    const heard: string[] = [];
    const waiting = call(
      "wait",
      {},
      {
        signal: controller.signal,
        onNotification: ({ method }: { method: string }) => {
          heard.push(method);
          controller.abort();
        },
      },
    );
    await expectCode(waiting, "ABORTED");
    expect(heard).toEqual(["notifications/progress"]);
    await page.waitForFunction(() => cancelled.length > 0);
    expect(await page.evaluate(() => cancelled)).toEqual(["ABORTED"]);
  });

  it("runs in one tab at a time", async () => {
    const other = await open();
    expect(await codeOf(other, () => openHub())).toBe("STATE_LOCKED");
    await other.close();
  });

  it("is the same hub after a reload: member, policy and log are kept, and it comes back by itself", async () => {
    const before = await page.evaluate(async () => ({ hubId: hub.hubId, records: (await hub.audit.verify()).records }));
    await page.reload();
    await page.waitForFunction(() => typeof openHub === "function");
    await page.evaluate(() => openHub("another-name"));
    const after = await page.evaluate(() => ({ hubId: hub.hubId, name: hub.name, joined: hub.joined }));
    expect(after).toEqual({ hubId: before.hubId, name: "page", joined: true });
    await expect.poll(isAnswered).toBe(true);
    const { records } = await page.evaluate(() => hub.audit.verify());
    expect(records).toBeGreaterThan(before.records);
  });

  it("refuses calls while the browser has no room for their record, and goes on when it has", async () => {
    await page.evaluate(() => fillDisk());
    await expectCode(call("title"), "AUDIT_UNAVAILABLE");
    expect(await codeOf(page, () => hub.sharing.share("tab", "role:nobody"))).toBe("STORE_FULL");
    await setQuota();
    await expect.poll(isAnswered).toBe(true);
  });

  it("comes through a relay that is started again", async () => {
    const { port } = relay;
    await relay.close();
    relay = await startRelay({ port, admissionKeys: [pc1.cluster.status().relayAdmissionKey] });
    await expect.poll(isAnswered, { timeout: 15_000 }).toBe(true);
  });

  it("is cut off when it is revoked, and not let in again", async () => {
    const report = await pc1.cluster.revoke({ kind: "hub", id: "page" }, "the tab is not mine");
    expect(report.hereMs).toBeLessThan(1_000);
    await expectCode(call("title"), "HUB_REVOKED");
    await page.reload();
    await page.waitForFunction(() => typeof openHub === "function");
    await page.evaluate(() => openHub());
    const refusals = async () => (await pc1.audit.tail(50)).map(({ record }) => record.code);
    await expect.poll(refusals).toContain("HUB_REVOKED");
    await expectCode(call("title"), "HUB_REVOKED");
    expect(pc1.cluster.peers()).toMatchObject([{ name: "page", state: "revoked", path: undefined }]);
  });
});
