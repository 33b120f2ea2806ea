import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { verifyAuditDirectory } from "../src/index.js";
import { addressOf, killProcess, loopback, startHubProcess, TestFleet, testApp } from "./fleet.js";

describe("a hub that dies in the middle of a call", () => {
  it("leaves the outcome unknown, hurts nobody else, and is reached again when it is back", async () => {
    await using fleet = new TestFleet();
    const pc1 = await fleet.hub("pc1", { lan: loopback });
    await pc1.cluster.create({ name: "home" });
    const pc3 = await fleet.hub("pc3", { lan: { ...loopback, peers: [addressOf(pc1)] }, apps: { echo: testApp() } });
    await pc3.cluster.join(await pc1.cluster.invite());
    await pc3.sharing.share("echo", "cluster");
    const dir = fleet.dirOf("pc2");
    const effects = fleet.dirOf("effects");
    const operator = pc1.operators.local("tester");
    const add = (tool: string, text: string) =>
      pc1.apps.call({ hub: "pc2", app: "notes", tool, arguments: { text } }, { operator });
    const seen = async () =>
      (await pc1.apps.list({ operator })).map(({ hub, app, status }) => `${hub}/${app} ${status}`);

    let child = await startHubProcess(dir, addressOf(pc1), effects, await pc1.cluster.invite());
    try {
      await expect.poll(seen).toEqual(["pc2/notes ready", "pc3/echo ready"]);
      await add("add", "one");
      const hanging = add("add-and-hang", "two");
      hanging.catch(() => {});
      await expect.poll(() => readFileSync(effects, "utf8")).toBe("one\ntwo\n");

      await killProcess(child);
      await expect.poll(async () => (await seen())[0]).toBe("pc2/notes offline");
      const startedMs = performance.now();
      expect(await seen()).toEqual(["pc2/notes offline", "pc3/echo ready"]);
      expect(performance.now() - startedMs).toBeLessThan(1_500);
      await expectCode(add("add", "never"), "HUB_UNREACHABLE");
      await pc1.apps.call({ hub: "pc3", app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });

      child = await startHubProcess(dir, addressOf(pc1), effects);
      // Its session might have gone on; that another process runs now is what says that it cannot.
      const error = await expectCode(hanging, "OUTCOME_UNKNOWN");
      expect(error.hint).toContain("audit log");
      expect(error.retryable).toBe(false);
      await expect.poll(seen, { timeout: 10_000 }).toEqual(["pc2/notes ready", "pc3/echo ready"]);
      await add("add", "three");
      expect(readFileSync(effects, "utf8")).toBe("one\ntwo\nthree\n");
      // Nobody waits for the record of an outcome, and this one is about to be killed as well.
      await expect.poll(() => outcomesIn(join(dir, "audit"))).toBe(2);
    } finally {
      await killProcess(child);
    }

    const key = new Uint8Array(readFileSync(join(dir, "keys", "audit")));
    await verifyAuditDirectory(join(dir, "audit"), key);
    await using again = await fleet.hub("pc2");
    const records = (await again.audit.tail(100)).map(({ record }) => record);
    const decided = records.filter(({ type, decision }) => type === "call.decision" && decision === "allow");
    expect(decided.map(({ tool }) => tool)).toEqual(["add", "add-and-hang", "add"]);
    expect(records.filter(({ type }) => type === "call.outcome")).toHaveLength(2);
  });
});

/** Records of outcomes in the files of an audit log. */
function outcomesIn(folder: string): number {
  const texts = readdirSync(folder).map((file) => readFileSync(join(folder, file), "latin1"));
  return texts.join("").split("call.outcome").length - 1;
}
