/**
 * Secret fields of a result, replaced before it leaves the hub that owns the app: in `structuredContent`, in texts that are
 * JSON, and wherever else in the result the same values stand.
 */
import { isObject } from "../mcp/json-rpc.js";
import { redactedMark } from "../redaction.js";
import { type SecretSchema, withoutSecrets } from "./secret-fields.js";

/** Looking for every secret in every text must end: beyond this many characters compared in a result, texts are hidden whole. */
const maxWork = 128 * 1024 * 1024;
/** What looking into the shortest text costs, in characters. */
const minWork = 64;
const maxDepth = 64;
/** Shorter secrets are replaced where they stand alone, not within a word. */
const wordChars = 4;

/** `result` without the fields that `schemas` mark. What is binary is not looked into. */
export function redactResult(result: unknown, schemas: readonly SecretSchema[]): unknown {
  if (schemas.length === 0 || !isObject(result)) return result;
  // A task's own result stands within the answer about the task.
  if (isObject(result.result)) return { ...result, result: redactResult(result.result, schemas) };
  const secrets = new Set<string>();
  const found = (secret: string) => void (secret === "" || secrets.add(secret));
  const structured =
    result.structuredContent === undefined
      ? result
      : { ...result, structuredContent: withoutSecrets(result.structuredContent, schemas, found) };
  const texts = mapTexts(structured, (text) => redactJsonText(text, schemas, found));
  if (secrets.size === 0) return texts;
  const replace = replacer([...secrets]);
  return mapStrings(texts, replace, 0);
}

/** The texts of a result's content: of text blocks and of embedded resources. */
function mapTexts(result: Record<string, unknown>, change: (text: string) => string): Record<string, unknown> {
  const withText = (part: unknown): unknown => {
    if (!isObject(part)) return part;
    const text = typeof part.text === "string" ? { text: change(part.text) } : {};
    const resource = isObject(part.resource) ? { resource: withText(part.resource) } : {};
    return { ...part, ...text, ...resource };
  };
  const lists = ["content", "contents"].filter((name) => Array.isArray(result[name]));
  const changed = lists.map((name) => [name, (result[name] as unknown[]).map(withText)]);
  return lists.length === 0 ? result : { ...result, ...Object.fromEntries(changed) };
}

function redactJsonText(text: string, schemas: readonly SecretSchema[], found: (secret: string) => void): string {
  if (!/^\s*[[{]/.test(text)) return text;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return text;
  }
  let any = false;
  const stripped = withoutSecrets(value, schemas, (secret) => {
    any = true;
    found(secret);
  });
  return any ? JSON.stringify(stripped) : text;
}

/** Replaces every spelling of each of `secrets`, the longest first, lest the rest of one stay. */
function replacer(secrets: readonly string[]): (text: string) => string {
  const spellings = new Set(
    secrets.flatMap((secret) => [
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret.toWellFormed()),
    ]),
  );
  const ordered = [...spellings]
    .sort((a, b) => b.length - a.length)
    .map((secret) => {
      if (secret.length >= wordChars) return secret;
      return new RegExp(`(?<![\\p{L}\\p{N}])${escapePattern(secret)}(?![\\p{L}\\p{N}])`, "gu");
    });
  let work = 0;
  return (text) => {
    work += (text.length + minWork) * ordered.length;
    if (work > maxWork) return redactedMark;
    return ordered.reduce<string>((left, secret) => left.replaceAll(secret, redactedMark), text);
  };
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

/** What a client acts upon by its exact value, and binary data. */
const kept = new Set(["type", "mimeType", "data", "blob"]);

function mapStrings(value: unknown, change: (text: string) => string, depth: number): unknown {
  if (typeof value === "string") return change(value);
  if (typeof value !== "object" || value === null) return value;
  if (depth > maxDepth) return null;
  if (Array.isArray(value)) return value.map((entry) => mapStrings(entry, change, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, kept.has(name) ? inner : mapStrings(inner, change, depth + 1)]),
  );
}
