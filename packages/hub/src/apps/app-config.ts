/** App configuration: the `mcpServers` JSON that MCP clients already use, and in-process servers. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { isAppName, parseJson } from "@fed/core";
import type { McpServerFactory } from "@modelcontextprotocol/server";
import { z } from "zod";
import { HubError } from "../errors.js";
import { expandVariables } from "./expand-variables.js";

/** An app run as a child process that speaks MCP on its standard streams. */
export interface StdioAppConfig {
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the few variables an app inherits by default. */
  readonly env?: Readonly<Record<string, string>>;
  /** Default the hub's own. */
  readonly cwd?: string;
}

/** OAuth 2.1 client credentials of the hub itself at the authorization server of an app. */
export interface ClientCredentials {
  /** The one authorization server that may see the secret; the app cannot name another. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
}

/** An app reached over Streamable HTTP. */
export interface HttpAppConfig {
  readonly url: string;
  /** Sent to the app's own origin, and nowhere else. */
  readonly headers?: Readonly<Record<string, string>>;
  /** How the hub proves who it is. What an agent shows to the hub is never handed on. */
  readonly auth?: { readonly bearer: string } | { readonly clientCredentials: ClientCredentials };
}

/** An MCP server inside this process. */
export interface InProcessAppConfig {
  readonly server: McpServerFactory;
}

/** When an app runs, and what it tells others about it. */
export interface AppSettings {
  readonly title?: string;
  readonly description?: string;
  /** `eager`: with the hub. `demand`: with the first request. Default `demand`, for in-process servers `eager`. */
  readonly start?: "demand" | "eager";
  /** An app on demand that nothing was asked of for so long is ended until it is asked again. Default: it runs on. */
  readonly idleStopMs?: number;
  /** Values that are not shown in logs and errors, besides those of `env`, `headers` and `auth`. */
  readonly secrets?: readonly string[];
}

/** What a hub needs to run an app, with what it tells others about it. */
export type AppConfig = (StdioAppConfig | HttpAppConfig | InProcessAppConfig) & AppSettings;

const appNameRule = "a name is 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit";
const text = z.string().min(1).max(8192);
const settings = z.strictObject({
  title: z.string().max(128).optional(),
  description: z.string().max(1024).optional(),
  start: z.enum(["demand", "eager"]).optional(),
  idleStopMs: z
    .int()
    .min(1000)
    .max(7 * 24 * 60 * 60_000)
    .optional(),
});
const address = z
  .url({ protocol: /^https?$/, abort: true })
  .refine(namesNobody, { error: "credentials belong under headers or fed.auth", abort: true });
const auth = z.union([
  z.strictObject({ bearer: text }),
  z.strictObject({
    clientCredentials: z.strictObject({
      issuer: address.refine((url) => isHttps(new URL(url)), "it is not https"),
      clientId: text,
      clientSecret: text,
      scope: text.optional(),
    }),
  }),
]);
const stdioApp = z.object({
  fed: settings.optional(),
  type: z.literal("stdio").optional(),
  command: z.string().min(1).max(4096),
  args: z.array(z.string().max(8192)).max(256).optional(),
  env: z.record(z.string(), z.string().max(32_768)).optional(),
  cwd: z.string().min(1).max(4096).optional(),
});
const httpApp = z.object({
  fed: settings.extend({ auth: auth.optional() }).optional(),
  type: z.enum(["http", "streamable-http"]).optional(),
  url: address,
  headers: z.record(z.string(), z.string().max(8192)).optional(),
});
const fields = new Set([...Object.keys(stdioApp.shape), ...Object.keys(httpApp.shape)]);
const configFile = z.object({ mcpServers: z.record(z.string(), z.unknown()) });

const maxConfigBytes = 1024 * 1024;
/** More than that nobody reads at once. */
const maxMistakes = 16;

/**
 * Reads an `mcpServers` file. Variables come from `environment`, by default the process's own; a relative `cwd` is one of
 * the file's folder; entries that are `disabled` are left out. What is for hubs alone stands under `fed`.
 * @throws {HubError} APP_CONFIG_INVALID naming every mistake and where it is.
 */
export function readAppConfig(
  path: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Record<string, AppConfig> {
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
    if ((entry as { disabled?: unknown } | null)?.disabled === true) continue;
    const where = `mcpServers.${name}`;
    if (!isAppName(name)) mistakes.push(`${where}: ${appNameRule}`);
    const read = readEntry(entry, where, environment);
    if ("mistakes" in read) mistakes.push(...read.mistakes);
    else
      apps[name] = "cwd" in read && read.cwd !== undefined ? { ...read, cwd: resolve(dirname(path), read.cwd) } : read;
  }
  if (mistakes.length > 0) throw invalid(`${path}: ${mistakes.slice(0, maxMistakes).join("; ")}`);
  return apps;
}

function readEntry(
  entry: unknown,
  where: string,
  environment: Readonly<Record<string, string | undefined>>,
): AppConfig | { readonly mistakes: readonly string[] } {
  const { value, missing, used } = expandVariables(knownFields(entry), where, environment);
  if (missing.length > 0) {
    return { mistakes: missing.map((each) => `${each.where}: the variable ${each.name} is not set`) };
  }
  // By what it has, not by trying both: the mistakes of the form that was not meant help nobody.
  const form = typeof value === "object" && value !== null && "url" in value ? httpApp : stdioApp;
  const parsed = form.safeParse(value);
  if (!parsed.success) return { mistakes: mistakesIn(parsed.error, where) };
  const { fed, type: _type, ...app } = parsed.data;
  const config = { ...app, ...fed, ...(used.length > 0 && { secrets: used }) };
  const mistake = settingsMistake(config);
  return mistake === undefined ? config : { mistakes: [`${where}.fed: ${mistake}`] };
}

/** Fields of other clients are theirs, and so are the variables in them. */
function knownFields(entry: unknown): unknown {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) return entry;
  return Object.fromEntries(Object.entries(entry).filter(([field]) => fields.has(field)));
}

function namesNobody(url: string): boolean {
  const { username, password } = new URL(url);
  return username === "" && password === "";
}

/** Or of this machine. */
function isHttps({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

function settingsMistake({ start, idleStopMs }: AppSettings): string | undefined {
  return start === "eager" && idleStopMs !== undefined
    ? "an app that starts eagerly does not stop when idle: leave out one of start and idleStopMs"
    : undefined;
}

/** When `config` starts. */
export function startOf(config: AppConfig): "demand" | "eager" {
  return config.start ?? ("server" in config ? "eager" : "demand");
}

/**
 * A hash over what decides how `config` runs and what it offers, 64 hex digits; two that agree need no restart. Undefined
 * for an in-process server: only the same function is the same.
 */
export function fingerprint(config: AppConfig): string | undefined {
  if ("server" in config) return undefined;
  const { title: _title, description: _about, start: _start, idleStopMs: _idle, secrets: _secrets, ...run } = config;
  return createHash("sha256")
    .update(JSON.stringify(sorted(run)))
    .digest("hex");
}

/** Whether an app that runs as `before` runs as `after`, too. */
export function runsAlike(before: AppConfig, after: AppConfig): boolean {
  if ("server" in before || "server" in after) {
    return "server" in before && "server" in after && before.server === after.server;
  }
  return fingerprint(before) === fingerprint(after);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]));
}

function mistakesIn(error: z.ZodError, where?: string): string[] {
  return error.issues.map(
    ({ path, message }) => `${[where, ...path].filter(Boolean).join(".") || "all of it"}: ${message}`,
  );
}

/** @throws {HubError} APP_CONFIG_INVALID unless `name` can name an app and `config` contradicts itself nowhere. */
export function checkApp(name: string, config: AppConfig): void {
  if (!isAppName(name)) throw invalid(`"${name}" cannot name an app.`);
  const mistake = settingsMistake(config);
  if (mistake !== undefined) throw invalid(`App ${name}: ${mistake}.`);
}

function invalid(message: string, cause?: unknown): HubError {
  return new HubError({
    code: "APP_CONFIG_INVALID",
    message,
    hint: 'The file looks like {"mcpServers": {"notes": {"command": "notes-mcp"}}}.',
    cause,
  });
}
