/** `fed doctor`: what is wrong and how to mend it. Exit status 1 when something is. */
import { existsSync } from "node:fs";
import { toFedError } from "@fed/core";
import type { AppConfigFile, AppHealth, ChangedTool, ClusterStatus, Peer } from "@fed/hub";
import type { Command } from "commander";
import { request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { print } from "../output.js";
import { changedTools } from "./app-catalogue.js";
import type { LocalAppsAnswer } from "./app-life.js";

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
        all.flatMap(({ what, ok, detail, code, hint }) => [
          `${ok ? "ok  " : "FAIL"}  ${what}: ${detail}${code ? ` (${code})` : ""}`,
          ...(hint ? [`      → ${hint}`] : []),
        ]),
      );
    });
}

async function examine(dir: string): Promise<Finding[]> {
  const { openSqliteStore, openStateDirectory, readHead, verifyAuditDirectory } = await import("@fed/hub");
  const findings: Finding[] = [];
  const look = async <T>(
    what: string,
    work: () => Promise<T>,
    detail: (found: T) => string,
  ): Promise<T | undefined> => {
    try {
      const found = await work();
      findings.push({ what, ok: true, detail: detail(found) });
      return found;
    } catch (cause) {
      findings.push(failed(what, cause));
      return undefined;
    }
  };

  const directory = await look(
    "state",
    async () => {
      const opened = openStateDirectory(dir);
      await using store = openSqliteStore(opened.file("hub.sqlite"));
      await store.get(["identity"]);
      return opened;
    },
    () => dir,
  );
  if (!directory) return findings;
  await look(
    "audit log",
    async () => {
      const key = directory.readSecret("audit");
      if (!key || !existsSync(directory.file("audit"))) return 0;
      await using store = openSqliteStore(directory.file("hub.sqlite"));
      return (await verifyAuditDirectory(directory.file("audit"), key, await readHead(store))).records;
    },
    (records) => `${records} records, every one as it was written`,
  );
  const run = await look(
    "hub",
    () => requireRunning(dir),
    ({ url, pid }) => `process ${pid} answers at ${url}`,
  );
  if (!run) return findings;

  const local = await request<LocalAppsAnswer>(run, "GET", "/local-apps");
  findings.push(...local.apps.map(examineApp), ...examineConfigFile(local.configFile));
  findings.push(...examineTools((await changedTools(run)).changed));
  try {
    findings.push(...examineCluster(await request<ClusterStatus>(run, "GET", "/status")));
    findings.push(...(await request<Peer[]>(run, "GET", "/peers")).flatMap(examinePeer));
  } catch (cause) {
    const { code, message } = toFedError(cause);
    // A hub on its own is a healthy hub: federation is off by default.
    findings.push(
      code === "NOT_IN_CLUSTER" ? { what: "cluster", ok: true, detail: message } : failed("cluster", cause),
    );
  }
  return findings;
}

function failed(what: string, cause: unknown): Finding {
  const { code, message, hint } = toFedError(cause);
  return { what, ok: false, detail: message, code, hint };
}

function examineApp({ app, status, restarts, lastError }: AppHealth): Finding {
  const what = `app ${app}`;
  if (status === "failed") {
    const { code, message, hint } = lastError!;
    return { what, ok: false, detail: message, code, hint: hint ?? `See \`fed apps logs ${app}\`.` };
  }
  return { what, ok: true, detail: restarts === 0 ? status : `${status}, ${restarts} restarts` };
}

function examineConfigFile(file: AppConfigFile | undefined): Finding[] {
  if (!file) return [];
  const what = `apps file ${file.path}`;
  if (!file.error) return [{ what, ok: true, detail: "in force as it is" }];
  const { code, message } = file.error;
  return [{ what, ok: false, detail: message, code, hint: "Mend it; the hub takes it up by itself." }];
}

function examineTools(changed: readonly ChangedTool[]): Finding[] {
  const apps = Map.groupBy(changed, ({ hub, app }) => `${hub}/${app}`);
  return [...apps].map(([address, tools]) => ({
    what: `tools of ${address}`,
    ok: false,
    detail: `${tools.map(({ tool }) => tool).join(", ")} changed since first seen or accepted`,
    code: "TOOL_CHANGED",
    hint: `Look at them with apps.describe, then: fed apps accept ${address}`,
  }));
}

function examinePeer({ name, state, path }: Peer): Finding[] {
  if (state === "revoked") return [];
  const what = `hub ${name}`;
  if (path) return [{ what, ok: true, detail: `reached over ${path}` }];
  const hint = `See \`fed path ${name}\`; is it up, on the same LAN or on a relay of this cluster?`;
  return [{ what, ok: false, detail: "not reached", code: "HUB_UNREACHABLE", hint }];
}

function examineCluster(status: ClusterStatus): Finding[] {
  const { lan, relays, stopped } = status;
  const findings: Finding[] = [
    ...(stopped
      ? [{ what: "federation", ok: false, detail: stopped.message, code: stopped.code, hint: stopped.hint }]
      : []),
    examineTerm("manifest", status.manifestExpiresAtMs, "it signs the next one"),
    examineTerm("leaf", status.leafExpiresAtMs, "it renews leaves"),
  ];
  if (lan && lan.discovery !== "off") {
    const found = { what: "LAN discovery", ok: lan.discovery !== "multicast-unavailable", detail: lan.discovery };
    findings.push({
      ...found,
      ...(!found.ok && {
        code: "MULTICAST_UNAVAILABLE",
        hint: "Multicast does not work here: name the other hubs with `fed up --lan --peer HOST:PORT`.",
      }),
    });
  }
  for (const { url, status: detail, error } of relays) {
    const found = { what: `relay ${url}`, ok: detail === "up", detail };
    findings.push({
      ...found,
      ...(!found.ok && {
        code: error?.code ?? "RELAY_UNREACHABLE",
        hint: "Is it up, and does it admit the key that `fed cluster status` shows?",
      }),
    });
  }
  return findings;
}

function examineTerm(what: string, untilMs: number, does: string): Finding {
  const found = {
    what,
    ok: untilMs - Date.now() > soonMs,
    detail: `good until ${new Date(untilMs).toISOString().slice(0, 10)}`,
  };
  if (found.ok) return found;
  return { ...found, code: "EXPIRES_SOON", hint: `Start the hub that holds the authority: ${does}.` };
}
