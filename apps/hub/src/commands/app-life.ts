/** `fed apps launch|stop|restart|health|logs`: the lives of this hub's own apps. */
import type { AppConfigFile, AppHealth } from "@fed/hub";
import type { Command } from "commander";
import { request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { ago, CliError, print, table } from "../output.js";

/** What `GET /local-apps` answers. */
export interface LocalAppsAnswer {
  readonly apps: readonly AppHealth[];
  readonly configFile?: AppConfigFile;
}

const actions = [
  ["launch", "start an app of this hub now, also one that was stopped", "runs"],
  ["stop", "end an app of this hub once its calls are done; it stays so until it is launched", "is stopped"],
  ["restart", "stop an app of this hub and launch it; calls meanwhile wait", "runs anew"],
] as const;

/** Adds the commands below `fed apps`. */
export function addAppLifeCommands(apps: Command, globals: () => Globals): void {
  for (const [action, description, done] of actions) {
    apps
      .command(`${action} <app>`)
      .description(description)
      .action(async (app: string) => {
        const { dir, json } = globals();
        const run = await requireRunning(dir);
        const health = await request<AppHealth>(run, "POST", `/apps/${encodeURIComponent(app)}/${action}`);
        print(json, health, ({ pid }) => `App ${app} ${done}${pid === undefined ? "" : `, as process ${pid}`}.`);
      });
  }

  apps
    .command("health")
    .description("how the apps of this hub are: processes, restarts, what went wrong")
    .action(async () => {
      const { dir, json } = globals();
      print(json, await request<LocalAppsAnswer>(await requireRunning(dir), "GET", "/local-apps"), showHealth);
    });

  apps
    .command("logs <app>")
    .description("what an app of this hub printed on standard error; the last 64 KiB are kept")
    .option("--lines <count>", "how many of the last lines", "100")
    .action(async (app: string, { lines }: { lines: string }) => {
      const { dir, json } = globals();
      if (!/^[1-9]\d{0,4}$/.test(lines)) {
        throw new CliError({ code: "USAGE", message: `${lines} is not a number of lines.`, hint: "For example 100." });
      }
      const path = `/apps/${encodeURIComponent(app)}/logs?lines=${lines}`;
      const answer = await request<{ lines: string[] }>(await requireRunning(dir), "GET", path);
      if (json || answer.lines.length > 0) print(json, answer, (shown) => shown.lines);
    });
}

function showHealth({ apps, configFile }: LocalAppsAnswer): string[] {
  const rows = apps.map(({ app, kind, start, status, pid, restarts, startedAtMs }) => [
    app,
    kind,
    start,
    status,
    pid?.toString() ?? "",
    restarts.toString(),
    startedAtMs === undefined ? "" : ago(startedAtMs),
  ]);
  return [
    ...(apps.length === 0
      ? ["This hub has no apps."]
      : [table([["APP", "KIND", "START", "STATUS", "PROCESS", "RESTARTS", "SINCE"], ...rows])]),
    ...apps.flatMap(({ app, lastError }) =>
      lastError ? [`${app}, ${ago(lastError.atMs)}: ${lastError.message}`] : [],
    ),
    ...(configFile?.error ? [`${configFile.path} is not in force: ${configFile.error.message}`] : []),
  ];
}
