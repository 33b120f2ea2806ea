/** App configuration: the `mcpServers` JSON that MCP clients already use, and in-process servers. */
import { readFileSync } from "node:fs";
import { isAppName, parseJson } from "@fed/core";
import type { McpServerFactory } from "@modelcontextprotocol/server";
import { z } from "zod";
import { HubError } from "../errors.js";

/** An app run as a child process that speaks MCP on its standard streams. */
export interface StdioAppConfig {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the few variables an app inherits by default. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** An app reached over Streamable HTTP. */
export interface HttpAppConfig {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An MCP server inside this process. */
export interface InProcessAppConfig {
  readonly server: McpServerFactory;
}

/** What a hub needs to run an app, with what it tells others about it. */
export type AppConfig = (StdioAppConfig | HttpAppConfig | InProcessAppConfig) & {
  readonly title?: string;
  readonly description?: string;
};

const appNameRule = "a name is 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit";
const about = { title: z.string().max(128).optional(), description: z.string().max(1024).optional() };
const stdioApp = z.object({
  ...about,
  type: z.literal("stdio").optional(),
  command: z.string().min(1).max(4096),
  args: z.array(z.string().max(8192)).max(256).optional(),
  env: z.record(z.string(), z.string().max(32_768)).optional(),
  cwd: z.string().max(4096).optional(),
});
const httpApp = z.object({
  ...about,
  type: z.enum(["http", "streamable-http"]).optional(),
  url: z.url({ protocol: /^https?$/ }),
  headers: z.record(z.string(), z.string().max(8192)).optional(),
});
const configFile = z.object({ mcpServers: z.record(z.string(), z.unknown()) });

const maxConfigBytes = 1024 * 1024;
/** More than that nobody reads at once. */
const maxMistakes = 16;

/** @throws {HubError} APP_CONFIG_INVALID naming every mistake and where it is. */
export function readAppConfig(path: string): Record<string, AppConfig> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    throw invalid(`${path} cannot be read: ${(cause as Error).message}`, cause);
  }
  let value: unknown;
  try {
    value = parseJson(bytes, { maxBytes: maxConfigBytes });
  } catch (cause) {
    throw invalid(`${path}: ${(cause as Error).message}`, cause);
  }
  const parsed = configFile.safeParse(value);
  if (!parsed.success) throw invalid(`${path}: ${mistakesIn(parsed.error).join("; ")}`, parsed.error);
  const apps: Record<string, AppConfig> = {};
  const mistakes: string[] = [];
  for (const [name, entry] of Object.entries(parsed.data.mcpServers)) {
    const where = `mcpServers.${name}`;
    // By what it has, not by trying both: the mistakes of the form that was not meant help nobody.
    const form = typeof entry === "object" && entry !== null && "url" in entry ? httpApp : stdioApp;
    const app = form.safeParse(entry);
    if (app.success) apps[name] = app.data;
    else mistakes.push(...mistakesIn(app.error, where));
    if (!isAppName(name)) mistakes.push(`${where}: ${appNameRule}`);
  }
  if (mistakes.length > 0) throw invalid(`${path}: ${mistakes.slice(0, maxMistakes).join("; ")}`);
  return apps;
}

function mistakesIn(error: z.ZodError, where?: string): string[] {
  return error.issues.map(
    ({ path, message }) => `${[where, ...path].filter(Boolean).join(".") || "all of it"}: ${message}`,
  );
}

/** @throws {HubError} APP_CONFIG_INVALID unless `name` can name an app. */
export function checkAppName(name: string): void {
  if (!isAppName(name)) throw invalid(`"${name}" cannot name an app.`);
}

function invalid(message: string, cause?: unknown): HubError {
  return new HubError({
    code: "APP_CONFIG_INVALID",
    message,
    hint: 'The file looks like {"mcpServers": {"notes": {"command": "notes-mcp"}}}.',
    cause,
  });
}
