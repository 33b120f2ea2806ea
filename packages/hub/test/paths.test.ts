import { createTcpLine } from "@fed/core/testing-node";
import { startRelay } from "@fed/relay";
import { expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { type AppLog, addressOf, loopback, TestFleet, testApp } from "./fleet.js";

/** An address that no interface lists, so that none which the other hub tells counts as near: there is only the given way. */
const aside = { listen: { host: "127.0.0.2", port: 0 }, discovery: false };
const patience = { timeout: 20_000, interval: 20 };

const pathOf = (hub: Hub) => hub.cluster.peers()[0]?.path;

it("a LAN that goes dead in the middle of calls: they end over the relay, each has run once, and the LAN is taken again", async () => {
  await using fleet = new TestFleet();
  const founder = await fleet.hub("pc1");
  await founder.cluster.create({ name: "home" });
  const { relayAdmissionKey } = founder.cluster.status();
  await founder.close();
  await using relay = await startRelay({ admissionKeys: [relayAdmissionKey] });
  const log: AppLog = { calls: [], cancelled: 0 };
  const pc1 = await fleet.hub("pc1", { lan: loopback, relays: [relay.url], apps: { echo: testApp(log) } });
  await pc1.apps.settled();
  await pc1.sharing.share("echo", "cluster");
  const [host, port] = addressOf(pc1).split(":") as [string, string];
  await using line = await createTcpLine({ host, port: Number(port), conditions: { latencyMs: 1 } });
  // It joins over the relay, so that it knows no other way to the LAN than the line.
  const guest = await fleet.hub("pc2", { relays: [relay.url] });
  await guest.cluster.join(await pc1.cluster.invite());
  await guest.close();
  const pc2 = await fleet.hub("pc2", { lan: { ...aside, peers: [line.address] }, relays: [relay.url] });
  for (const hub of [pc1, pc2]) await expect.poll(() => pathOf(hub), patience).toBe("lan");
  const { hubId } = pc1;
  const ways = () => pc2.cluster.paths(hubId).map(({ transport, state }) => `${transport} ${state}`);
  await expect.poll(ways, patience).toEqual(["lan confirmed", "relay confirmed"]);
  const operator = pc2.operators.local("tester");

  let sent = 0;
  const call = async () => {
    const text = `call ${sent++}`;
    const result = await pc2.apps.call({ hub: "pc1", app: "echo", tool: "echo", arguments: { text } }, { operator });
    expect(result).toMatchObject({ content: [{ type: "text", text }] });
  };
  await call();
  const heal = line.blackhole();
  const cutAtMs = performance.now();
  await Promise.all(Array.from({ length: 20 }, call));
  expect(performance.now() - cutAtMs).toBeLessThan(5_000);
  await expect.poll(() => pathOf(pc2), patience).toBe("relay");
  await call();
  // Without another word from either side the dead connection is given up.
  await expect.poll(ways, patience).not.toContain("lan suspect");
  heal();
  for (const hub of [pc1, pc2]) await expect.poll(() => pathOf(hub), patience).toBe("lan");
  await call();
  expect(log.calls.toSorted()).toEqual(Array.from({ length: sent }, (_, i) => `call ${i}`).toSorted());
  const history = pc2.cluster.pathHistory(hubId).map(({ transport, event }) => `${transport} ${event}`);
  expect(history.slice(history.indexOf("lan suspect"))).toEqual([
    "lan suspect",
    "relay chosen",
    "lan lost",
    "lan confirmed",
    "lan chosen",
  ]);
}, 60_000);
