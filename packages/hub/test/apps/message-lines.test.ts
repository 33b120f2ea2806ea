import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonRpcIdScanner } from "../../src/apps/json-rpc-id.js";
import { MessageLines } from "../../src/apps/message-lines.js";

function collect(limits = { maxLineBytes: 64, maxSkippedBytes: 1024 }) {
  const heard: (string | { readonly id: number | undefined; readonly bytes: number })[] = [];
  let endless = 0;
  const lines = new MessageLines(limits, {
    onLine: (line) => heard.push(line),
    onOversized: (id, bytes) => heard.push({ id, bytes }),
    onEndless: () => endless++,
  });
  return { lines, heard, endless: () => endless };
}

describe("the lines of an app", () => {
  it("are the same however they are cut into chunks", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 12 }).filter((text) => !text.includes("\n"));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat(40)), (texts, cuts) => {
        const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""));
        const { lines, heard } = collect({ maxLineBytes: 1024, maxSkippedBytes: 2048 });
        let from = 0;
        for (const cut of [...cuts, bytes.length]) {
          lines.push(bytes.subarray(from, from + cut));
          from = Math.min(from + cut, bytes.length);
        }
        lines.push(bytes.subarray(from));
        expect(heard).toEqual(texts);
      }),
    );
  });

  it("above the bound are let go, with the id of the request they answer, and those after them are heard", () => {
    const { lines, heard } = collect();
    const long = JSON.stringify({ result: { text: "y".repeat(200) }, jsonrpc: "2.0", id: 7 });
    for (const byte of Buffer.from(`before\n${long}\nafter\n`)) lines.push(Buffer.from([byte]));
    expect(heard).toEqual(["before", { id: 7, bytes: long.length }, "after"]);
  });

  it("of exactly the bound are kept, one byte more is not", () => {
    const { lines, heard } = collect();
    lines.push(Buffer.from(`${"a".repeat(64)}\n${"a".repeat(65)}\n`));
    expect(heard).toEqual(["a".repeat(64), { id: undefined, bytes: 65 }]);
  });

  it("without end are told once, and nothing is heard after", () => {
    const { lines, heard, endless } = collect();
    for (let i = 0; i < 50; i++) lines.push(Buffer.alloc(100, "a"));
    lines.push(Buffer.from("\nmore\n"));
    expect(heard).toEqual([]);
    expect(endless()).toBe(1);
  });
});

describe("the id of a message that is let go", () => {
  const idOf = (text: string) => {
    const scanner = new JsonRpcIdScanner();
    scanner.push(Buffer.from(text));
    return scanner.id;
  };

  it("is found wherever it stands, and nowhere else", () => {
    const message = fc.record({
      result: fc.jsonValue(),
      id: fc.nat(),
    });
    fc.assert(
      fc.property(message, fc.boolean(), fc.constantFrom(undefined, 2), ({ result, id }, first, space) => {
        const parts = first
          ? { jsonrpc: "2.0", id, result }
          : { result: { id: -1, nested: result }, jsonrpc: "2.0", id };
        expect(idOf(JSON.stringify(parts, undefined, space))).toBe(id);
      }),
    );
  });

  it.each([
    ['{"result":"\\"id\\":9","id":4}', 4],
    ['{"result":"}","id":4}', 4],
    ['{"result":[{"id":9}],"id":4}', 4],
    ['{"id":4,"method":"ping"}', undefined],
    ['{"id":"4","result":{}}', undefined],
    ['{"id":null,"result":{}}', undefined],
    ['{"result":{}}', undefined],
    ["no JSON at all", undefined],
  ])("in %s", (text, id) => {
    expect(idOf(text)).toBe(id);
  });
});
