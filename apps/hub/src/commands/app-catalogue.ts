/** `fed apps` and what is below it for the apps of all hubs: the list, a search, and tools that have changed. */
import type { AppPage, ChangedTool, FoundPage, ListedApp, RunFile, ToolAcceptance } from "@fed/hub";
import type { Command } from "commander";
import { request, requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { ago, print, table } from "../output.js";
import { parseAddress } from "./address.js";

/** An idle app is started by the first call. */
const usable: ReadonlySet<ListedApp["status"]> = new Set(["ready", "idle", "starting"]);
const pageApps = 1000;

interface ListAnswer {
  readonly apps: readonly ListedApp[];
  readonly hubs: AppPage["hubs"];
}

/** Makes `apps` list, and adds the commands below it. */
export function addAppCatalogueCommands(apps: Command, globals: () => Globals): void {
  apps
    .option("--all", "those that cannot be used now, too", false)
    .option("--hub <hub>", "only those of one hub, by name or id")
    .action(async ({ all, hub }: { all: boolean; hub?: string }) => {
      const { dir, json } = globals();
      const found = await allApps(await requireRunning(dir), hub);
      const shown = found.apps.filter(({ status }) => all || usable.has(status));
      print(json, shown, (listed) => showApps(listed, found.hubs));
    });

  apps
    .command("search <words...>")
    .description("apps and tools, on every hub, that have all the words; the best first")
    .option("--limit <count>", "how many", "50")
    .action(async (words: string[], { limit }: { limit: string }) => {
      const { dir, json } = globals();
      const query = new URLSearchParams({ query: words.join(" "), limit });
      print(json, await request<FoundPage>(await requireRunning(dir), "GET", `/apps/search?${query}`), showFound);
    });

  apps
    .command("changed")
    .description("tools, on every hub, whose definition is not the one that was first seen or accepted")
    .action(async () => {
      const { dir, json } = globals();
      const { changed } = await changedTools(await requireRunning(dir));
      print(json, changed, showChanged);
    });

  apps
    .command("accept <hub/app> [tool]")
    .description("accept what an app's tools, or one of them, say of themselves now")
    .option("--hash <hash>", "only this definition, as `fed apps changed` shows it")
    .action(async (address: string, tool: string | undefined, { hash }: { hash?: string }) => {
      const { dir, json } = globals();
      const acceptance: ToolAcceptance = { ...parseAddress(address), tool, hash };
      const run = await requireRunning(dir);
      const { accepted } = await request<{ accepted: ChangedTool[] }>(run, "POST", "/pins/accept", acceptance);
      print(json, accepted, (done) =>
        done.length === 0
          ? `Nothing that has changed in ${address} waits to be accepted.`
          : done.map(({ tool: name, to }) => `Accepted ${name}, as ${to}.`),
      );
    });
}

/** Tools that have changed, whoever may use them. */
export function changedTools(run: RunFile): Promise<{ readonly changed: readonly ChangedTool[] }> {
  return request(run, "GET", "/pins");
}

async function allApps(run: RunFile, hub: string | undefined): Promise<ListAnswer> {
  const apps: ListedApp[] = [];
  const query = new URLSearchParams({ limit: String(pageApps), ...(hub !== undefined && { hub }) });
  for (;;) {
    const page = await request<AppPage>(run, "GET", `/apps?${query}`);
    apps.push(...page.apps);
    if (page.nextCursor === undefined) return { apps, hubs: page.hubs };
    query.set("cursor", page.nextCursor);
  }
}

function showApps(apps: readonly ListedApp[], { known, total }: AppPage["hubs"]): string[] {
  const rows = apps.map(({ hub, app, path, status, stale, changed, title, description }) => {
    const marks = [...(stale ? ["stale"] : []), ...(changed ? ["changed"] : [])];
    const marked = marks.length > 0 ? `${status} (${marks.join(", ")})` : status;
    return [`${hub}/${app}`, path, marked, title ?? description ?? ""];
  });
  return [
    rows.length === 0 ? "No app that you may use is known." : table([["APP", "PATH", "STATUS", "ABOUT"], ...rows]),
    ...unseen(known, total),
  ];
}

function showFound({ matches, nextCursor, hubs: { known, total } }: FoundPage): string[] {
  const rows = matches.map(({ hub, app, tool, status, title, description }) => [
    `${hub}/${app}`,
    tool?.name ?? "",
    status,
    tool ? (tool.title ?? tool.description ?? "") : (title ?? description ?? ""),
  ]);
  return [
    rows.length === 0 ? "Nothing has all these words." : table([["APP", "TOOL", "STATUS", "ABOUT"], ...rows]),
    ...(nextCursor === undefined ? [] : ["There is more; use more words, or --limit."]),
    ...unseen(known, total),
  ];
}

function unseen(known: number, total: number): string[] {
  return known < total ? [`${total - known} of ${total} hubs have shown nothing yet.`] : [];
}

function showChanged(changed: readonly ChangedTool[]): string {
  if (changed.length === 0) return "No tool has changed.";
  return table([
    ["HUB", "APP", "TOOL", "SINCE", "WAS", "IS"],
    ...changed.map(({ hub, app, tool, atMs, from, to }) => [hub, app, tool, ago(atMs), from ?? "not there", to]),
  ]);
}
