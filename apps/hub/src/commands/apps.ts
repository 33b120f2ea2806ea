/** `fed apps` and `fed call`: what an agent on this hub may see and do. */
import type { ListedApp } from "@fed/hub";
import type { Command } from "commander";
import { requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { CliError, print, table } from "../output.js";

/** Adds the commands. */
export function addAppCommands(program: Command, globals: () => Globals): void {
  program
    .command("apps")
    .description("the apps I may use, on every hub")
    .option("--all", "those that do not run now, too", false)
    .action(async ({ all }: { all: boolean }) => {
      const { dir, json } = globals();
      const run = await requireRunning(dir);
      const { callHubTool, connectToHub } = await import("../hub-mcp-client.js");
      const client = await connectToHub(run);
      try {
        const result = await callHubTool(client, "apps.list", {});
        const { apps } = result.structuredContent as { apps: ListedApp[] };
        print(
          json,
          apps.filter((app) => all || app.status === "ready"),
          showApps,
        );
      } finally {
        await client.close();
      }
    });

  program
    .command("call <hub/app> <tool> [json]")
    .description("call one tool; progress goes to stderr, the result to stdout")
    .action(async (address: string, tool: string, text = "{}") => {
      const { dir, json } = globals();
      const run = await requireRunning(dir);
      const { callHubTool, connectToHub } = await import("../hub-mcp-client.js");
      const client = await connectToHub(run);
      try {
        const result = await callHubTool(
          client,
          "app.call",
          { ...parseAddress(address), tool, arguments: parseArguments(text) },
          { onProgress: json ? undefined : showProgress },
        );
        if (result.isError) process.exitCode = 1;
        print(json, result, ({ content }) =>
          content.map((part) => (part.type === "text" ? part.text : JSON.stringify(part))),
        );
      } finally {
        await client.close();
      }
    });
}

function parseAddress(address: string): { hub?: string; app: string } {
  const parts = address.split("/");
  if (parts.length === 1 && parts[0]) return { app: parts[0] };
  if (parts.length === 2 && parts[0] && parts[1]) return { hub: parts[0], app: parts[1] };
  throw new CliError({ code: "USAGE", message: `${address} is not HUB/APP.`, hint: "See `fed apps`." });
}

function parseArguments(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, in the same words as for JSON that is no object.
  }
  throw new CliError({
    code: "USAGE",
    message: "The tool's arguments are not a JSON object.",
    hint: `For example '{"path": "/tmp"}'.`,
  });
}

function showProgress(params: unknown): void {
  const { progress, total, message } = params as { progress?: number; total?: number; message?: string };
  process.stderr.write(`${progress ?? ""}${total === undefined ? "" : `/${total}`} ${message ?? ""}\n`);
}

function showApps(apps: readonly ListedApp[]): string {
  if (apps.length === 0) return "No app that you may use is known.";
  return table([
    ["APP", "PATH", "STATUS", "ABOUT"],
    ...apps.map(({ hub, app, path, status, stale, title, description }) => [
      `${hub}/${app}`,
      path,
      stale ? `${status} (stale)` : status,
      title ?? description ?? "",
    ]),
  ]);
}
