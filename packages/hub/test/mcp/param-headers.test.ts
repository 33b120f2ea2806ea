import { describe, expect, it } from "vitest";
import { encodeParamHeaders, findParamMismatch, paramHeadersOf } from "../../src/mcp/param-headers.js";

const of = (properties: object, more: object = {}) => paramHeadersOf({ type: "object", properties, ...more });
const region = { type: "string", "x-mcp-header": "Region" };

describe("what a definition declares", () => {
  it("is found at any depth of properties", () => {
    const where = { type: "object", properties: { zone: { type: "integer", "x-mcp-header": "Zone" } } };
    expect(of({ region, where, other: { type: "string" } })).toEqual([
      { name: "mcp-param-region", path: ["region"], numeric: false },
      { name: "mcp-param-zone", path: ["where", "zone"], numeric: true },
    ]);
  });

  it("may be called like a keyword, and literals are no schemas", () => {
    expect(of({ items: region, default: { type: "boolean", "x-mcp-header": "On" } })).toMatchObject([
      { path: ["items"] },
      { path: ["default"] },
    ]);
    expect(of({ region, kind: { const: { "x-mcp-header": "no schema" } } })).toHaveLength(1);
  });

  it.each<[string, unknown]>([
    ["the root", { type: "string", "x-mcp-header": "Root" }],
    ["an item", { properties: { list: { type: "array", items: region } } }],
    [
      "a branch",
      { properties: { region }, anyOf: [{ properties: { zone: { type: "string", "x-mcp-header": "Z" } } }] },
    ],
    ["a definition", { $defs: { region }, properties: {} }],
    ["a pattern", { patternProperties: { "^r": region } }],
    ["an object", { properties: { where: { type: "object", "x-mcp-header": "Where" } } }],
    ["a number", { properties: { ratio: { type: "number", "x-mcp-header": "Ratio" } } }],
    ["two types", { properties: { either: { type: ["string", "null"], "x-mcp-header": "Either" } } }],
    ["no name", { properties: { region: { type: "string", "x-mcp-header": "" } } }],
    ["no token", { properties: { region: { type: "string", "x-mcp-header": "a b\r\n" } } }],
    ["the same twice", { properties: { region, again: { type: "string", "x-mcp-header": "REGION" } } }],
  ])("is nothing when %s is marked", (_what, schema) => {
    expect(paramHeadersOf(schema)).toEqual([]);
  });

  it("is nothing when there is no schema, or one without end", () => {
    for (const schema of [undefined, null, true, [], "x"]) expect(paramHeadersOf(schema)).toEqual([]);
    let deep: object = region;
    for (let i = 0; i < 100_000; i++) deep = { properties: { a: deep } };
    expect(paramHeadersOf(deep)).toEqual([]);
  });
});

const headers = of({
  text: { type: "string", "x-mcp-header": "Text" },
  count: { type: "integer", "x-mcp-header": "Count" },
  on: { type: "boolean", "x-mcp-header": "On" },
});

describe("a header", () => {
  it.each<[object, object]>([
    [
      { text: "eu-1", count: 7, on: false },
      { text: "eu-1", count: "7", on: "false" },
    ],
    [{ text: "" }, { text: "=?base64??=" }],
    [{ text: " x" }, { text: "=?base64?IHg=?=" }],
    [{ text: "ü\r\n" }, { text: "=?base64?w7wNCg==?=" }],
    [{ text: "=?base64?eA==?=" }, { text: "=?base64?PT9iYXNlNjQ/ZUE9PT89?=" }],
    [{ text: null, count: 2 ** 60 }, {}],
    [{ text: { no: "primitive" } }, {}],
    [{}, {}],
  ])("says %j so that nothing on the way changes it", (args, expected) => {
    const encoded = encodeParamHeaders(headers, args);
    const named = Object.fromEntries(Object.entries(expected).map(([key, value]) => [`mcp-param-${key}`, value]));
    expect(encoded).toEqual(named);
    expect(findParamMismatch(headers, args, encoded)).toBeUndefined();
  });

  it.each<[object, Record<string, string>, string | undefined]>([
    [{ text: "a" }, {}, "mcp-param-text"],
    [{ text: "a" }, { "mcp-param-text": "b" }, "mcp-param-text"],
    [{ text: "a" }, { "mcp-param-text": "=?base64?YQ?=" }, "mcp-param-text"],
    [{ text: "\ufffd" }, { "mcp-param-text": "=?base64?/w==?=" }, "mcp-param-text"],
    [{ count: 42 }, { "mcp-param-count": "42.0" }, undefined],
    [{ count: 42 }, { "mcp-param-count": "0x2a" }, "mcp-param-count"],
    [{ on: true }, { "mcp-param-on": "TRUE" }, "mcp-param-on"],
    [{}, { "mcp-param-text": "nobody asked" }, undefined],
  ])("beside %j: %j", (args, sent, wrong) => {
    expect(findParamMismatch(headers, args, sent)?.header).toBe(wrong);
  });
});
