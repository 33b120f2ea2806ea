import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { cli, eventually, Home } from "./home.js";

interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly code?: string;
  readonly hint?: string;
}

/** What `fed doctor` finds: the status it ends with, and everything that is wrong. */
async function doctor(home: Home, hub: string): Promise<{ status: number | null; all: Finding[]; wrong: Finding[] }> {
  const { status, stdout, stderr } = await home.run(["--dir", home.path(hub), "--json", "doctor"]);
  expect(stderr).toBe("");
  const all = JSON.parse(stdout) as Finding[];
  const wrong = all.filter(({ ok }) => !ok);
  for (const finding of wrong) expect(finding).toMatchObject({ code: expect.any(String), hint: expect.any(String) });
  expect(status).toBe(wrong.length > 0 ? 1 : 0);
  return { status, all, wrong };
}

it.concurrent("finds that there is no hub, that it does not run, and nothing wrong with one that does", async () => {
  await using home = new Home();
  expect((await doctor(home, "pc1")).wrong).toMatchObject([{ what: "state", code: "STATE_MISSING" }]);
  await home.init("pc1");
  expect((await doctor(home, "pc1")).wrong).toMatchObject([{ what: "hub", code: "HUB_NOT_RUNNING" }]);
  await home.up("pc1");
  expect((await doctor(home, "pc1")).wrong).toEqual([]);
  expect(await home.text("pc1", "doctor")).toMatch(
    /^ok {4}state: .*\nok {4}audit log: \d+ records.*\nok {4}hub: process \d+ answers at http.*\nok {4}cluster: .*\n$/,
  );
});

it.concurrent("finds a damaged audit log, and a damaged database", async () => {
  await using home = new Home();
  await home.init("pc1", { cluster: "home" });
  const segment = readdirSync(home.path("pc1/audit")).find((name) => name.endsWith(".seg"))!;
  const bytes = readFileSync(home.path("pc1/audit", segment));
  bytes[bytes.indexOf("cluster.created")]! ^= 1;
  writeFileSync(home.path("pc1/audit", segment), bytes);
  expect((await doctor(home, "pc1")).wrong).toMatchObject([
    { what: "audit log", code: "AUDIT_TAMPERED", detail: expect.stringMatching(/record \d+/i) },
    { what: "hub" },
  ]);
  const person = await home.run(["--dir", home.path("pc1"), "doctor"]);
  expect(person.stdout).toMatch(/^FAIL {2}audit log: .* \(AUDIT_TAMPERED\)\n {6}→ /m);
  writeFileSync(home.path("pc1/hub.sqlite"), "not a database");
  expect((await doctor(home, "pc1")).wrong).toMatchObject([{ what: "state", code: "STORE_CORRUPT" }]);
});

it.concurrent("finds a peer that is not reached, and not one that is", async () => {
  await using home = new Home();
  const { pc2 } = await home.pair();
  const { all } = await doctor(home, "pc1");
  expect(all).toContainEqual({ what: "hub pc2", ok: true, detail: "reached over lan" });
  await pc2.stop();
  await eventually(async () =>
    expect((await doctor(home, "pc1")).wrong).toMatchObject([
      { what: "hub pc2", code: "HUB_UNREACHABLE", hint: expect.stringContaining("fed path pc2") },
    ]),
  );
});

it.concurrent("finds a relay that is down", async () => {
  await using home = new Home();
  await home.init("pc1");
  const { relayAdmissionKey } = await home.json<{ relayAdmissionKey: string }>("pc1", "cluster", "create", "home");
  const relay = await home.start<{ url: string }>(["relay", "--listen", "127.0.0.1:0", "--admit", relayAdmissionKey]);
  await home.up("pc1", "--relay", relay.up.url);
  const what = `relay ${relay.up.url}`;
  await eventually(async () =>
    expect((await doctor(home, "pc1")).all).toContainEqual({ what, ok: true, detail: "up" }),
  );
  await relay.stop();
  await eventually(async () =>
    expect((await doctor(home, "pc1")).wrong).toMatchObject([{ what, code: expect.any(String) }]),
  );
});

/** A network of its own, which Linux gives the superuser alone, so that nobody else is in the way at the port of mDNS. */
const isolated = spawnSync("unshare", ["--net", "ip", "link", "set", "lo", "up"]).status === 0;

it.runIf(isolated).concurrent("finds that multicast is not to be had", async () => {
  await using home = new Home();
  await home.init("pc1", { cluster: "home" });
  const [node, fed] = [`"${process.execPath}"`, `"${process.execPath}" "${cli}" --dir "${home.path("pc1")}" --json`];
  const script = `
    ip link set lo up
    ${node} -e 'const { createSocket } = require("node:dgram"); createSocket("udp6").bind(5353)' &
    until grep -q ":14E9 " /proc/net/udp6; do sleep 0.1; done
    ${fed} up --lan > /dev/null &
    for i in $(seq 100); do [ -e "${home.path("pc1/run.json")}" ] && break; sleep 0.1; done
    for i in $(seq 20); do ${fed} cluster status | grep -q '"discovery": "starting"' || break; done
    ${fed} doctor
    kill %1 %2
    wait`;
  const { stdout, stderr } = spawnSync("unshare", ["--net", "bash", "-c", script], {
    encoding: "utf8",
    timeout: 15_000,
  });
  const wrong = (JSON.parse(stdout) as Finding[]).filter(({ ok }) => !ok);
  expect(wrong, stderr).toMatchObject([
    { what: "LAN discovery", code: "MULTICAST_UNAVAILABLE", hint: expect.stringContaining("--peer") },
  ]);
});
