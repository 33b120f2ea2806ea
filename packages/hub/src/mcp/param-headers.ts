/**
 * SEP-2243: arguments of a tool that its definition wants repeated in `Mcp-Param-*` headers of the HTTP request, so that what
 * stands between can route by them. MCP 2026-07-28, Streamable HTTP, "Custom Headers from Tool Parameters".
 */
import { isObject } from "./json-rpc.js";

const prefix = "mcp-param-";
const keyword = "x-mcp-header";
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/;
const repeatable = new Set(["string", "integer", "boolean"]);
const encodedForm = /^=\?base64\?(.*)\?=$/s;
const decimal = /^-?\d+(\.\d+)?$/;
const maxDepth = 32;
const maxHeaders = 64;

/** One argument that is repeated. */
export interface ParamHeader {
  /** Its full name, in lower case. */
  readonly name: string;
  /** Where the argument is. */
  readonly path: readonly string[];
  readonly numeric: boolean;
}

/** What a header says that its argument does not. */
export interface ParamMismatch {
  readonly header: string;
  /** Undefined: it is missing. */
  readonly sent: string | undefined;
  readonly argument: string;
}

const none: readonly ParamHeader[] = [];
const declared = new WeakMap<object, readonly ParamHeader[]>();

/** What `inputSchema` wants repeated. A definition that breaks a rule of the SEP declares nothing. */
export function paramHeadersOf(inputSchema: unknown): readonly ParamHeader[] {
  if (!isObject(inputSchema)) return none;
  const known = declared.get(inputSchema);
  if (known) return known;
  const found = scan(inputSchema) ?? none;
  declared.set(inputSchema, found);
  return found;
}

/** The headers for a call with `args`. */
export function encodeParamHeaders(headers: readonly ParamHeader[], args: unknown): Record<string, string> {
  const encoded: Record<string, string> = {};
  for (const { name, path } of headers) {
    const text = textAt(args, path);
    if (text !== undefined) encoded[name] = encode(text);
  }
  return encoded;
}

/** The first header that does not say what its argument says. */
export function findParamMismatch(
  headers: readonly ParamHeader[],
  args: unknown,
  sent: Readonly<Record<string, string | string[] | undefined>>,
): ParamMismatch | undefined {
  for (const { name, path, numeric } of headers) {
    const argument = textAt(args, path);
    if (argument === undefined) continue;
    const value = sent[name];
    const text = value === undefined ? undefined : decode(String(value));
    const same =
      numeric && text !== undefined && decimal.test(text) ? Number(text) === Number(argument) : text === argument;
    if (!same) return { header: name, sent: value === undefined ? undefined : String(value), argument };
  }
  return undefined;
}

/** Only a chain of `properties` leads to an argument for certain; the keyword anywhere else makes the definition invalid. */
function scan(inputSchema: Record<string, unknown>): ParamHeader[] | undefined {
  const found: ParamHeader[] = [];
  const names = new Set<string>();
  const visit = (node: unknown, path: readonly string[] | undefined, depth: number): boolean => {
    if (depth > maxDepth) return false;
    if (Array.isArray(node)) return node.every((item) => visit(item, undefined, depth + 1));
    if (!isObject(node)) return true;
    if (Object.hasOwn(node, keyword)) {
      const { [keyword]: name, type } = node;
      if (!path || path.length === 0 || typeof name !== "string" || !token.test(name)) return false;
      const lower = name.toLowerCase();
      if (!repeatable.has(String(type)) || names.has(lower) || found.length >= maxHeaders) return false;
      names.add(lower);
      found.push({ name: `${prefix}${lower}`, path, numeric: type === "integer" });
    }
    return Object.entries(node).every(([key, child]) => {
      if (literals.has(key)) return true;
      if (!mapsOfSchemas.has(key) || !isObject(child)) return visit(child, undefined, depth + 1);
      return Object.entries(child).every(([name, schema]) =>
        visit(schema, path && key === "properties" ? [...path, name] : undefined, depth + 1),
      );
    });
  };
  return visit(inputSchema, [], 0) ? found : undefined;
}

/** Keywords whose members are names that the schema's author chose, and keywords whose value is no schema. */
const mapsOfSchemas = new Set(["properties", "patternProperties", "dependentSchemas", "$defs", "definitions"]);
const literals = new Set(["const", "default", "enum", "examples"]);

/** The argument as a header spells it; undefined of one that is absent, null, or cannot be spelt. */
function textAt(args: unknown, path: readonly string[]): string | undefined {
  let value = args;
  for (const key of path) value = isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "number" || (Number.isInteger(value) && !Number.isSafeInteger(value))) return undefined;
  return String(value);
}

/** Header fields carry visible ASCII without spaces at the ends; the rest goes as base64 of its UTF-8. */
function encode(text: string): string {
  const isPlain = /^[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?$/.test(text) && !encodedForm.test(text);
  return isPlain ? text : `=?base64?${Buffer.from(text, "utf8").toString("base64")}?=`;
}

function decode(value: string): string | undefined {
  const encoded = encodedForm.exec(value)?.[1];
  if (encoded === undefined) return value;
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) return undefined;
  const text = bytes.toString("utf8");
  return Buffer.from(text, "utf8").equals(bytes) ? text : undefined;
}
