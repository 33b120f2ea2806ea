/** `fed apps` and `fed call`: what an agent on this hub may see and do. */
import { FedError } from "@fed/core";
import type { CallToolResult } from "@modelcontextprotocol/client";
import type { Command } from "commander";
import type { HubCallOptions } from "../hub-agent.js";
import { requireRunning } from "../hub-client.js";
import type { Globals } from "../main.js";
import { CliError, print } from "../output.js";
import { parseAddress } from "./address.js";
import { addAppCatalogueCommands } from "./app-catalogue.js";
import { addAppLifeCommands } from "./app-life.js";

/** Adds the commands. */
export function addAppCommands(program: Command, globals: () => Globals): void {
  const apps = program.command("apps").description("the apps I may use, on every hub");
  addAppCatalogueCommands(apps, globals);
  addAppLifeCommands(apps, globals);

  program
    .command("call <hub/app> <tool> [json]")
    .description("call one tool; progress goes to stderr, the result to stdout")
    .action(async (address: string, tool: string, text = "{}") => {
      const { dir, json } = globals();
      const call = { ...parseAddress(address), tool, arguments: parseArguments(text) };
      const result = await callHubTool(dir, "app.call", call, { onProgress: json ? undefined : showProgress });
      if (result.isError) process.exitCode = 1;
      print(json, result, ({ content }) =>
        content.map((part) => (part.type === "text" ? part.text : JSON.stringify(part))),
      );
    });
}

/** What one of the hub's own tools answered. @throws {FedError} with the federation's code when it refused. */
async function callHubTool(dir: string, name: string, args: Record<string, unknown>, options?: HubCallOptions) {
  const run = await requireRunning(dir);
  const { HubAgent } = await import("../hub-agent.js");
  const agent = await HubAgent.connect(run);
  try {
    const result = await agent.call(name, args, options);
    const failure = failureOf(result);
    if (failure) throw failure;
    return result;
  } finally {
    await agent.close();
  }
}

/** The federation's own error in a tool result, or undefined: then it is what the tool said. */
function failureOf({ isError, structuredContent }: CallToolResult): FedError | undefined {
  const { error } = (structuredContent ?? {}) as {
    error?: { code?: unknown; message?: unknown; hint?: unknown; retryable?: unknown };
  };
  if (!isError || typeof error?.code !== "string" || typeof error.message !== "string") return undefined;
  const { code, message, hint, retryable } = error;
  return new FedError({
    code,
    message,
    hint: typeof hint === "string" ? hint : undefined,
    retryable: retryable === true,
  });
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
