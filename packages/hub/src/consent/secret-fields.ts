/**
 * Fields that a JSON Schema marks as secret (`writeOnly: true`, `format: "password"`) or that the owner lists, taken out of
 * values: of a tool's arguments where people are shown them, and of its results before they leave the hub.
 */
import { isObject } from "../mcp/json-rpc.js";
import { redactedMark } from "../redaction.js";

/** A JSON Schema with secret fields in it. */
export type SecretSchema = Readonly<Record<string, unknown>>;

/** Schemas are walked along a value, so that recursive ones end; beyond this much work a value is hidden whole. */
const maxSteps = 200_000;
const maxDepth = 64;
/** Keywords whose schemas hold for the value itself. */
const sameValue = ["allOf", "anyOf", "oneOf", "if", "then", "else", "dependentSchemas", "not"];

/** `schema` if something in it is marked secret. */
export function secretSchema(schema: unknown): SecretSchema | undefined {
  return isObject(schema) && marks(schema, 0) ? schema : undefined;
}

function marks(schema: unknown, depth: number): boolean {
  if (typeof schema !== "object" || schema === null) return false;
  // Too deep to tell: then it counts as marked, and what is as deep is hidden.
  if (depth > maxDepth || isSecret(schema as SecretSchema)) return true;
  return Object.values(schema).some((inner) => marks(inner, depth + 1));
}

function isSecret({ writeOnly, format }: SecretSchema): boolean {
  return writeOnly === true || format === "password";
}

/**
 * A schema that marks the fields at `paths`: names joined by dots, `*` for any name; lists are passed through, so
 * `users.token` is the token of each user.
 */
export function schemaOfPaths(paths: readonly string[]): SecretSchema {
  const schemas = paths.map((path) => {
    let schema: SecretSchema = { writeOnly: true };
    for (const name of path.split(".").reverse()) {
      schema = name === "*" ? { patternProperties: { "": schema } } : { properties: { [name]: schema } };
    }
    return schema;
  });
  return { allOf: schemas };
}

/**
 * A copy of `value` in which every field that one of `schemas` marks is replaced; what stays is not copied. The replacement
 * has the field's type, so that the value still fits its schema: `[redacted]`, 0, false. `found` hears what was replaced.
 */
export function withoutSecrets(
  value: unknown,
  schemas: readonly SecretSchema[],
  found: (secret: string) => void = () => {},
): unknown {
  const walk: Walk = { steps: 0, found };
  return strip(
    value,
    schemas.map((schema) => ({ schema, root: schema })),
    walk,
    0,
  );
}

interface Walk {
  steps: number;
  readonly found: (secret: string) => void;
}

interface Place {
  readonly schema: unknown;
  /** What `$ref` points into. */
  readonly root: SecretSchema;
}

function strip(value: unknown, places: readonly Place[], walk: Walk, depth: number): unknown {
  const here = expand(places, walk);
  if (here === "secret" || depth > maxDepth) return hidden(value, walk, depth);
  if (here.length === 0 || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((entry) => strip(entry, elementPlaces(here), walk, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, strip(inner, fieldPlaces(here, name), walk, depth + 1)]),
  );
}

/** The schemas that hold for one value, with those they refer to; `secret` when one of them says so. */
function expand(
  places: readonly Place[],
  walk: Walk,
): readonly (Place & { readonly schema: SecretSchema })[] | "secret" {
  const all: (Place & { readonly schema: SecretSchema })[] = [];
  const seen = new Set<unknown>();
  const open = [...places];
  for (let place = open.pop(); place; place = open.pop()) {
    const { schema, root } = place;
    if (!isObject(schema) || seen.has(schema)) continue;
    if (isSecret(schema) || ++walk.steps > maxSteps) return "secret";
    seen.add(schema);
    all.push({ schema, root });
    if (typeof schema.$ref === "string") open.push({ schema: target(schema.$ref, root), root });
    for (const keyword of sameValue) {
      const inner = schema[keyword];
      const schemas = Array.isArray(inner) ? inner : keyword === "dependentSchemas" ? valuesOf(inner) : [inner];
      for (const each of schemas) open.push({ schema: each, root });
    }
  }
  return all;
}

/** What `$ref` names within `root`; anything it cannot follow counts as secret. */
function target(ref: string, root: SecretSchema): unknown {
  if (!ref.startsWith("#")) return { writeOnly: true };
  let at: unknown = root;
  for (const part of ref.slice(1).split("/").slice(1, maxDepth)) {
    const name = decoded(part)?.replaceAll("~1", "/").replaceAll("~0", "~");
    if (name === undefined || typeof at !== "object" || at === null || !Object.hasOwn(at, name))
      return { writeOnly: true };
    at = (at as Record<string, unknown>)[name];
  }
  return at;
}

/** A part of a fragment; undefined of one that is percent-encoded badly. */
function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** Whichever position: a schema for one element may hide another's field, and none shows one. */
function elementPlaces(places: readonly (Place & { readonly schema: SecretSchema })[]): Place[] {
  return places.flatMap(({ schema, root }) => {
    const { items, prefixItems, contains, unevaluatedItems } = schema;
    const inner = [items, prefixItems, contains, unevaluatedItems].flat().filter(isObject);
    // A schema without a word on elements was written for one of them.
    return (inner.length > 0 ? inner : [schema]).map((each) => ({ schema: each, root }));
  });
}

function fieldPlaces(places: readonly (Place & { readonly schema: SecretSchema })[], name: string): Place[] {
  return places.flatMap(({ schema, root }) => {
    const { properties, patternProperties, additionalProperties, unevaluatedProperties } = schema;
    const own = isObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined;
    const others = own === undefined ? [additionalProperties, unevaluatedProperties] : [own];
    // Patterns are the app's own: not run, but taken to fit.
    return [...others, ...valuesOf(patternProperties)].map((each) => ({ schema: each, root }));
  });
}

function valuesOf(value: unknown): unknown[] {
  return isObject(value) ? Object.values(value) : [];
}

function hidden(value: unknown, walk: Walk, depth: number): unknown {
  if (typeof value === "string" || typeof value === "number") walk.found(String(value));
  if (typeof value === "string") return redactedMark;
  if (typeof value === "number") return 0;
  if (typeof value === "boolean") return false;
  if (typeof value !== "object" || value === null || depth > 2 * maxDepth) return null;
  if (Array.isArray(value)) return value.map((entry) => hidden(entry, walk, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, hidden(inner, walk, depth + 1)]));
}
