import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { schemaOfPaths, secretSchema, withoutSecrets } from "../../src/consent/secret-fields.js";

const secret = { type: "string", writeOnly: true };
const strip = (value: unknown, ...schemas: object[]) => withoutSecrets(value, schemas as Record<string, unknown>[]);

describe("a schema", () => {
  it.each([
    ["writeOnly", { properties: { a: { writeOnly: true } } }, true],
    ["format password", { items: { anyOf: [{ format: "password" }] } }, true],
    ["in a definition", { $defs: { key: secret }, properties: { a: { $ref: "#/$defs/key" } } }, true],
    ["nothing", { properties: { a: { writeOnly: false, format: "email" } } }, false],
    ["no object", true, false],
  ] as const)("marks secrets by %s", (_how, schema, marked) => expect(secretSchema(schema) !== undefined).toBe(marked));
});

describe("a field is replaced, and its type kept,", () => {
  it.each([
    ["by name", { a: "x", b: "y" }, { properties: { a: secret } }, { a: "[redacted]", b: "y" }],
    ["in a list", [{ a: "x" }, { b: 1 }], { items: { properties: { a: secret } } }, [{ a: "[redacted]" }, { b: 1 }]],
    ["at a position", ["x", "y"], { prefixItems: [secret] }, ["[redacted]", "[redacted]"]],
    ["under any other name", { a: 1, b: 2 }, { properties: { a: {} }, additionalProperties: secret }, { a: 1, b: 0 }],
    ["under a pattern", { a: true }, { patternProperties: { "^a": secret } }, { a: false }],
    [
      "behind a reference",
      { a: { b: "x" } },
      { properties: { a: { $ref: "#/$defs/n" } }, $defs: { n: { properties: { b: secret } } } },
      { a: { b: "[redacted]" } },
    ],
    [
      "in one of several forms",
      { a: "x" },
      { oneOf: [{ properties: { b: {} } }, { properties: { a: secret } }] },
      { a: "[redacted]" },
    ],
    [
      "whole",
      { a: { b: "x", c: [1, null] } },
      { properties: { a: { writeOnly: true } } },
      { a: { b: "[redacted]", c: [0, null] } },
    ],
    [
      "where a reference cannot be followed",
      { a: "x" },
      { properties: { a: { $ref: "https://schemas.example/a" } } },
      { a: "[redacted]" },
    ],
  ])("%s", (_how, value, schema, expected) => expect(strip(value, schema)).toEqual(expected));

  it("behind a reference that cannot be read", () => {
    expect(strip({ a: "x" }, { properties: { a: { $ref: "#/$defs/%zz" } } })).toEqual({ a: "[redacted]" });
  });

  it("in a schema that refers to itself, as deep as the value goes", () => {
    const tree = { properties: { key: secret, next: { $ref: "#" } } };
    expect(strip({ next: { next: { key: "x", name: "n" } } }, tree)).toEqual({
      next: { next: { key: "[redacted]", name: "n" } },
    });
    const circle = { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } };
    expect(strip({ a: 1 }, circle)).toEqual({ a: 1 });
  });

  it("at a path that the owner lists", () => {
    const value = {
      users: [{ name: "ann", token: "t1" }, { token: "t2" }],
      keys: { a: "k1", b: "k2" },
      token: "not this",
    };
    expect(strip(value, schemaOfPaths(["users.token", "keys.*"]))).toEqual({
      users: [{ name: "ann", token: "[redacted]" }, { token: "[redacted]" }],
      keys: { a: "[redacted]", b: "[redacted]" },
      token: "not this",
    });
  });
});

describe("properties", () => {
  it("whatever the schema and the value, it ends, throws nothing, and a marked value does not stay", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.jsonValue({ maxDepth: 6 }), fc.string(), (value, schema, name) => {
        strip(value, typeof schema === "object" && schema !== null ? schema : {});
        const planted = { [name]: { secret: "Pl4nted", beside: value } };
        const marking = { properties: { [name]: { properties: { secret } } }, ...{ description: "x" } };
        expect(JSON.stringify(strip(planted, marking))).not.toContain("Pl4nted");
      }),
      { numRuns: 300 },
    );
  });

  it("a value too deep or too large to be walked is hidden, not shown", () => {
    let deep: unknown = { key: "Pl4nted" };
    for (let level = 0; level < 500; level++) deep = { next: deep };
    const tree = { properties: { key: secret, next: { $ref: "#" } } };
    expect(JSON.stringify(strip(deep, tree))).not.toContain("Pl4nted");
    const wide = Array.from({ length: 100_000 }, () => ({ key: "Pl4nted" }));
    expect(JSON.stringify(strip(wide, { items: { $ref: "#/$defs/n" }, $defs: { n: tree } }))).not.toContain("Pl4nted");
  });
});
