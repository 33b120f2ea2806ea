import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

it("the README explains every code, and no other", () => {
  const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
  const declared = [...read("../src/errors.ts").matchAll(/^ {2}\| "([A-Z_]+)"/gm)].map((match) => match[1]);
  const table = read("../README.md").split("## Errors")[1]!.split("\n## ")[0]!;
  const rows = table.split("\n").map((row) => row.split("|")[1] ?? "");
  const explained = rows.flatMap((cell) => [...cell.matchAll(/`([A-Z_]+)`/g)].map((match) => match[1]));
  expect(explained.length).toBeGreaterThan(40);
  expect(explained.sort()).toEqual(declared.sort());
});
