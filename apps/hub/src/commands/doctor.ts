/** `fed doctor`: what is wrong and how to mend it. Exit status 1 when something is. */
import { existsSync } from "node:fs";
import { toFedError } from "@fed/core";
import {
  type ClusterStatus,
  openSqliteStore,
  openStateDirectory,
  type Peer,
  readHead,
  verifyAuditDirectory,
} from "@fed/hub";
import type { Command } from "commander";
import { findRunning, request } from "../hub-client.js";
import type { Globals } from "../main.js";
import { print } from "../output.js";

/** One thing that was looked at. */
interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly code?: string;
  readonly hint?: string;
}

const soonMs = 7 * 24 * 60 * 60_000;

/** Adds the command. */
export function addDoctorCommand(program: Command, globals: () => Globals): void {
  program
    .command("doctor")
    .description("what is wrong and how to mend it")
    .action(async () => {
      const { dir, json } = globals();
      const findings = await examine(dir);
      if (findings.some(({ ok }) => !ok)) process.exitCode = 1;
      print(json, findings, (all) =>
        all.flatMap(({ what, ok, detail, hint }) => [
          `${ok ? "ok  " : "FAIL"}  ${what}: ${detail}`,
          ...(hint ? [`      → ${hint}`] : []),
        ]),
      );
    });
}

async function examine(dir: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  const look = async (what: string, work: () => Promise<string> | string): Promise<boolean> => {
    try {
      findings.push({ what, ok: true, detail: await work() });
      return true;
    } catch (cause) {
      const { code, message, hint } = toFedError(cause);
      findings.push({ what, ok: false, detail: message, code, hint });
      return false;
    }
  };

  const found = await look("state", async () => {
    openStateDirectory(dir);
    await using store = openSqliteStore(`${dir}/hub.sqlite`);
    await store.get(["identity"]);
    return dir;
  });
  if (!found) return findings;
  await look("audit log", async () => {
    const directory = openStateDirectory(dir);
    const key = directory.readSecret("audit");
    if (!key || !existsSync(directory.file("audit"))) return "empty";
    await using store = openSqliteStore(directory.file("hub.sqlite"));
    const { records } = await verifyAuditDirectory(directory.file("audit"), key, await readHead(store));
    return `${records} records, every one as it was written`;
  });

  const run = findRunning(dir);
  if (!run) {
    findings.push({
      what: "hub",
      ok: false,
      detail: "it is not running",
      code: "HUB_NOT_RUNNING",
      hint: "Start it with `fed up`.",
    });
    return findings;
  }
  if (
    !(await look(
      "hub",
      async () => `${(await request<{ name: string }>(run, "GET", "/identity")).name} answers at ${run.url}`,
    ))
  )
    return findings;

  let status: ClusterStatus;
  try {
    status = await request<ClusterStatus>(run, "GET", "/status");
  } catch (cause) {
    const { code, message, hint } = toFedError(cause);
    // A hub on its own is a healthy hub: federation is off by default.
    findings.push({ what: "cluster", ok: code === "NOT_IN_CLUSTER", detail: message, code, hint });
    return findings;
  }
  findings.push(...examineCluster(status));
  for (const peer of await request<Peer[]>(run, "GET", "/peers")) {
    if (peer.state === "revoked") continue;
    findings.push(
      peer.path
        ? { what: `hub ${peer.name}`, ok: true, detail: `reached over ${peer.path}` }
        : {
            what: `hub ${peer.name}`,
            ok: false,
            detail: "not reached",
            code: "HUB_UNREACHABLE",
            hint: `See \`fed path ${peer.name}\`; is it up, on the same LAN or on a relay of this cluster?`,
          },
    );
  }
  return findings;
}

function examineCluster(status: ClusterStatus): Finding[] {
  const findings: Finding[] = [];
  const good = (what: string, untilMs: number, hint: string) => {
    const left = untilMs - Date.now();
    findings.push({
      what,
      ok: left > soonMs,
      detail: `good until ${new Date(untilMs).toISOString().slice(0, 10)}`,
      ...(left > soonMs ? {} : { hint }),
    });
  };
  good("manifest", status.manifestExpiresAtMs, "Start the hub that holds the authority: it signs the next one.");
  good("leaf", status.leafExpiresAtMs, "Start the hub that holds the authority: it renews leaves.");
  if (status.lan) {
    const works = status.lan.discovery === "running";
    findings.push({
      what: "LAN discovery",
      ok: works,
      detail: status.lan.discovery,
      ...(works ? {} : { hint: "Multicast does not work here: name the other hubs with `fed up --peer HOST:PORT`." }),
    });
  }
  for (const relay of status.relays) {
    const connected = relay.status === "up";
    findings.push({
      what: `relay ${relay.url}`,
      ok: connected,
      detail: relay.status,
      ...(connected ? {} : { hint: "Is it up, and does it admit this cluster's key? See `fed cluster status`." }),
    });
  }
  return findings;
}
