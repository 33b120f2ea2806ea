/** What a hub shows of its apps, as the others read it: shape checked, texts cut and put on one line, sorted by name. */
import { isAppName, type Json, oneLine } from "@fed/core";
import { limits } from "./limits.js";
import { type AppStatus, appStatuses, type LocalApp, type Risk, risks } from "./ports.js";
import { isObject, remoteProtocol } from "./wire.js";

/** A tool, as its app's owner shows it to one caller. */
export interface ToolSummary {
  /** 1..256 characters, none of them a control character. */
  readonly name: string;
  readonly title?: string;
  readonly description?: string;
  /** What the owner says a call does; decides nothing on other hubs but whether a call may be repeated. */
  readonly risk?: Risk;
  readonly idempotent?: true;
  /** Of its whole definition: SHA-256 over canonical JSON (RFC 8785), base64url, 43 characters. */
  readonly hash: string;
}

/** An app, as its owner shows it to one caller. */
export interface ListedApp extends Pick<LocalApp, "app" | "title" | "description" | "status"> {
  /** By name; absent while the owner does not know them, because the app has not run yet. */
  readonly tools?: readonly ToolSummary[];
  /** There are more tools than are listed here. */
  readonly more?: true;
}

const hashPattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * Reads the answer to a `list` stream. Strict about shape, lenient about additions: a newer hub may say more.
 * @throws {RouterError} REMOTE_PROTOCOL.
 */
export function parseListing(value: unknown): ListedApp[] {
  const apps = isObject(value as Json) ? (value as { readonly apps?: Json }).apps : undefined;
  if (!Array.isArray(apps) || apps.length > limits.listApps) throw remoteProtocol("Not a listing.");
  return sortedOnce((apps as readonly Json[]).map(parseApp), ({ app }) => app);
}

function parseApp(entry: Json): ListedApp {
  if (!isObject(entry) || typeof entry.app !== "string" || !isAppName(entry.app)) {
    throw remoteProtocol("The listing names an app badly.");
  }
  const { app, status, tools } = entry;
  if (!isAppStatus(status)) throw remoteProtocol("The listing gives an app no known status.");
  return {
    app,
    ...textsOf(entry, limits.descriptionChars),
    status,
    ...(tools !== undefined && { tools: parseTools(tools) }),
    ...(entry.more === true && { more: true }),
  };
}

function parseTools(tools: Json): ToolSummary[] {
  if (!Array.isArray(tools) || tools.length > limits.listTools)
    throw remoteProtocol("The listing has no list of tools.");
  return sortedOnce((tools as readonly Json[]).map(parseTool), ({ name }) => name);
}

function parseTool(entry: Json): ToolSummary {
  if (!isObject(entry) || !isToolName(entry.name) || typeof entry.hash !== "string" || !hashPattern.test(entry.hash)) {
    throw remoteProtocol("The listing names a tool badly.");
  }
  return {
    name: entry.name,
    ...textsOf(entry, limits.toolDescriptionChars),
    ...(isRisk(entry.risk) && { risk: entry.risk }),
    ...(entry.idempotent === true && { idempotent: true }),
    hash: entry.hash,
  };
}

/** Whether a listing can carry a tool of that name: 1..256 characters on one line. */
export function isToolName(name: unknown): name is string {
  return typeof name === "string" && name.length > 0 && oneLine(name, limits.toolNameChars) === name;
}

/** `title` and `description`, cut to what a listing carries. */
export function textsOf(
  { title, description }: { readonly title?: unknown; readonly description?: unknown },
  descriptionChars: number,
): { readonly title?: string; readonly description?: string } {
  return {
    ...(typeof title === "string" && title !== "" && { title: oneLine(title, limits.titleChars) }),
    ...(typeof description === "string" &&
      description !== "" && { description: oneLine(description, descriptionChars) }),
  };
}

/** @throws {RouterError} REMOTE_PROTOCOL when two have the same name. */
function sortedOnce<T>(entries: T[], nameOf: (entry: T) => string): T[] {
  entries.sort((a, b) => compare(nameOf(a), nameOf(b)));
  for (let i = 1; i < entries.length; i++) {
    if (nameOf(entries[i]!) === nameOf(entries[i - 1]!)) throw remoteProtocol("The listing names something twice.");
  }
  return entries;
}

/** The order of every list: by UTF-16 code units, the same in all languages. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isAppStatus(value: unknown): value is AppStatus {
  return (appStatuses as readonly unknown[]).includes(value);
}

function isRisk(value: unknown): value is Risk {
  return (risks as readonly unknown[]).includes(value);
}
