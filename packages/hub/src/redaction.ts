/**
 * What people are shown of calls, errors and logs, without secrets: fields are known by their name, values by their shape.
 * It rather hides too much than too little, and what it returns is JSON of bounded size whatever it is given.
 */
import type { Json } from "@fed/core";

/** What stands in the place of a secret. */
export const redactedMark = "[redacted]";

const cutMark = "…";
const maxDepth = 12;
/** Of a longer text only the beginning is looked at, and shown. */
const maxTextChars = 64 * 1024;
const maxNameChars = 256;

/** Words that name a secret wherever they stand in a field's name: `db_password`, `accessToken`, `Set-Cookie`. */
const secretWords = new Set(
  (
    "auth authorization bearer cookie cookies credential credentials creds jwt otp passcode passphrase passwd " +
    "password passwords pwd secret secrets token tokens"
  ).split(" "),
);
/** What makes a `key` a secret: `api_key`, `privateKey`. */
const keyWords = new Set(
  "access account api app auth client consumer encryption hmac host license master priv private root secret session shared signing ssh storage stream webhook".split(
    " ",
  ),
);
/** Endings of names written as one word: `dbpassword`, `APIKEY`. */
const secretEnding =
  /(?:password|passwd|passphrase|secret|(?:access|api|auth|private|secret|signing)keys?|(?:access|api|auth|bearer|id|refresh|session)tokens?|credentials?)$/;

/** Whether a field of this name holds a secret; case and separators do not matter. */
export function isSecretName(name: string): boolean {
  if (name.length > maxNameChars) return true;
  const words = name
    .normalize("NFKC")
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replace(/([A-Z])([A-Z][a-z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter(Boolean);
  return (
    words.some((word) => secretWords.has(word) || secretEnding.test(word)) ||
    words.some((word, index) => (word === "key" || word === "keys") && keyWords.has(words[index - 1] ?? "")) ||
    secretEnding.test(words.join(""))
  );
}

/** Values that are secrets by themselves. The last two are of a text cut short. */
const secretShapes: readonly RegExp[] = [
  /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|$)/g,
  /\bBearer\s+[^\s"',;\\]+/gi,
  /\bBasic\s+(?=[A-Za-z0-9+/]*[A-Z0-9=])[A-Za-z0-9+/]{6,}=*/g,
  // Tokens of our own: of operators, for pairing, over links.
  /\bfed(?!relay)[a-z]{1,16}[0-9]\.[A-Za-z0-9._~-]+/g,
  // JWT: JWS and JWE in compact form. Looked for once in each word: a text of nothing but beginnings takes no longer.
  /(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]*\.)(?:[A-Za-z0-9_-]*-)?eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_.-]*/g,
  /\b(?:A3T|AKIA|ASIA|AROA|AIDA|AGPA|ANPA|ANVA|AIPA|ABIA|ACCA)[A-Z0-9]{12,}/g,
  /\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abeoprs]-|sk-|[rs]k_(?:live|test)_|AIza|npm_|hf_|pypi-)[A-Za-z0-9_-]{16,}/g,
];
/** The password of an address: `scheme://user:password@host`. */
const userInfo = /(\b[a-z][a-z0-9+.-]{0,31}:\/\/[^\s/?#@:"']{0,256}:)[^\s/?#"']+(?=@)/gi;
/** `name=value`, `name: value`, `"name": "value"`, also in JSON within a string. */
const assignment = /(?<![\p{L}\p{N}_.-])([\p{L}\p{N}_.-]+)([\\"'\]]{0,8}\s{0,8}(?:=>|[=:])\s{0,8})/gu;
/** `--password hunter2` */
const flag = /(?<=^|\s)(--?[A-Za-z][\w-]{0,63})(\s+)(?!-)\S+/g;
const bareKey = /(?:^|[._-])keys?$/i;
const longOpaque = /^[\\"']*[A-Za-z0-9+/_-]{16,}/;

/** `text` with every secret that its shape or a name before it gives away replaced; at most `maxChars`, default 64 KiB. */
export function redactText(text: string, { maxChars = maxTextChars }: { readonly maxChars?: number } = {}): string {
  // More than is shown, for what is replaced gets shorter; not all of it, for looking takes time.
  const head = headOf(text, Math.min(maxTextChars, 4 * maxChars + 1024));
  const inner = structured(head);
  let shown = inner === undefined ? redactAssignments(head) : JSON.stringify(inner);
  for (const shape of secretShapes) shown = shown.replace(shape, redactedMark);
  shown = shown.replace(userInfo, `$1${redactedMark}`);
  shown = shown.replace(flag, (all, name: string, space: string) =>
    isSecretName(name) ? `${name}${space}${redactedMark}` : all,
  );
  return shown.length > maxChars ? `${shown.slice(0, Math.max(0, maxChars - 1)).toWellFormed()}${cutMark}` : shown;
}

/** Cut between words: half a secret may have lost its shape. */
function headOf(text: string, chars: number): string {
  if (text.length <= chars) return text;
  const kept = text.slice(0, chars);
  return `${kept.slice(0, kept.length - (/\S*$/.exec(kept.slice(-512))?.[0].length ?? 0))}${cutMark}`;
}

/** JSON inside a text, read as what it is: there names and values are certain. */
function structured(text: string): Json | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return redact(JSON.parse(text), { maxBytes: maxTextChars });
  } catch {
    return undefined;
  }
}

function redactAssignments(text: string): string {
  let shown = "";
  let from = 0;
  assignment.lastIndex = 0;
  for (let found = assignment.exec(text); found; found = assignment.exec(text)) {
    const [all, name = "", separator = ""] = found;
    const start = found.index + all.length;
    if (!isSecretName(name) && !(bareKey.test(name) && longOpaque.test(text.slice(start, start + 64)))) continue;
    const end = start + valueLength(text.slice(start), separator);
    shown += text.slice(from, start) + redactedMark;
    from = end;
    assignment.lastIndex = end;
  }
  return shown + text.slice(from);
}

/** How much of `rest`, which follows a secret's name, belongs to its value. In doubt too much. */
function valueLength(rest: string, separator: string): number {
  // An object or list as the value: where it ends is not known here.
  if (/^[\\"']*[[{]/.test(rest)) return rest.length;
  const [, quote] = /^(\\*["'])/.exec(rest) ?? [];
  if (quote !== undefined) {
    for (let end = rest.indexOf(quote, quote.length); end >= 0; end = rest.indexOf(quote, end + 1)) {
      if (rest[end - 1] !== "\\") return end + quote.length;
    }
    return rest.length;
  }
  // `name=value` ends with the word, `name: value` with the line: a header's value has spaces.
  const end = separator.includes("=") && !separator.includes("=>") ? rest.search(/[\s&;,]/) : rest.search(/[\r\n]/);
  return end < 0 ? rest.length : end;
}

/** Options of {@link redact}. */
export interface RedactOptions {
  /** UTF-8 bytes that the result has at most as compact JSON, at least 256; default 64 KiB. */
  readonly maxBytes?: number;
}

/** A copy of `value` as JSON, without secrets, cut to size. Never throws and never runs code of a value's class. */
export function redact(value: unknown, { maxBytes = maxTextChars }: RedactOptions = {}): Json {
  // Every open level may need a mark that something is missing.
  const budget = { left: Math.max(256, maxBytes) - maxDepth * 14 };
  return copy(value, 0, budget) ?? null;
}

interface Budget {
  left: number;
}

/** Undefined: `value` is nothing that JSON has. */
function copy(value: unknown, depth: number, budget: Budget): Json | undefined {
  try {
    if (typeof value === "string") return copyText(value, budget);
    if (typeof value === "number" || typeof value === "boolean" || value === null) {
      return spent(typeof value === "number" && !Number.isFinite(value) ? null : value, budget);
    }
    if (typeof value === "bigint") return copyText(value.toString(), budget);
    if (typeof value !== "object") return undefined;
    if (depth >= maxDepth || budget.left < 8) return spent(cutMark, budget);
    if (value instanceof Error) return copyEntries(errorEntries(value), depth, budget);
    if (value instanceof Date) return copyText(Number.isNaN(value.getTime()) ? "" : value.toISOString(), budget);
    if (ArrayBuffer.isView(value)) return copyText(`[${value.byteLength} bytes]`, budget);
    if (Array.isArray(value)) return copyList(value, depth, budget);
    return copyEntries(Object.keys(value), depth, budget, value as Record<string, unknown>);
  } catch {
    // A getter or a proxy that throws.
    return spent(redactedMark, budget);
  }
}

function copyText(text: string, budget: Budget): string {
  let shown = redactText(text.slice(0, maxTextChars + 1).toWellFormed(), { maxChars: Math.max(1, budget.left) });
  for (let bytes = jsonBytes(shown); bytes > budget.left && shown !== cutMark; bytes = jsonBytes(shown)) {
    // At least one character in five goes, so that few tries find what fits.
    const chars = Math.min(budget.left - 6, Math.floor(shown.length * 0.8));
    shown = `${shown.slice(0, Math.max(0, chars)).toWellFormed()}${cutMark}`;
  }
  budget.left = Math.max(0, budget.left - jsonBytes(shown));
  return shown;
}

function copyList(list: readonly unknown[], depth: number, budget: Budget): Json {
  const shown: Json[] = [];
  budget.left -= 2;
  let before: unknown;
  for (const entry of list) {
    if (budget.left < 16) {
      shown.push(cutMark);
      break;
    }
    budget.left -= 1;
    // Arguments of a command: `["--password", "hunter2"]`.
    const hidden = typeof entry === "string" && typeof before === "string" && /^--?[a-z]/i.test(before);
    shown.push(
      hidden && isSecretName(before as string) ? spent(redactedMark, budget) : (copy(entry, depth + 1, budget) ?? null),
    );
    before = entry;
  }
  return shown;
}

function copyEntries(
  entries: readonly string[] | readonly (readonly [string, unknown])[],
  depth: number,
  budget: Budget,
  object?: Readonly<Record<string, unknown>>,
): Json {
  const shown: [string, Json][] = [];
  budget.left -= 2;
  for (const entry of entries) {
    const [name, value] = typeof entry === "string" ? [entry, object?.[entry]] : entry;
    const label = redactText(name.slice(0, maxNameChars).toWellFormed());
    const bytes = jsonBytes(label) + 2;
    if (budget.left < bytes + 16) {
      shown.push([cutMark, cutMark]);
      break;
    }
    budget.left -= bytes;
    const hidden = isSecretName(name) && value !== undefined && value !== null && typeof value !== "boolean";
    const json = hidden ? spent(redactedMark, budget) : copy(value, depth + 1, budget);
    if (json !== undefined) shown.push([label, json]);
  }
  return Object.fromEntries(shown);
}

function errorEntries(error: Error & { code?: unknown; hint?: unknown; cause?: unknown }): [string, unknown][] {
  const { name, code, message, hint, cause } = error;
  return Object.entries({ name, code, message, hint, cause });
}

function spent<T extends string | number | boolean | null>(value: T, budget: Budget): T {
  budget.left -= jsonBytes(value);
  return value;
}

function jsonBytes(value: string | number | boolean | null): number {
  return Buffer.byteLength(JSON.stringify(value));
}
