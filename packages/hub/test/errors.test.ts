import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const read = (name: string) => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

it("the README says what each code of HubError means and what to do next", () => {
  const codes = [...read("src/errors.ts").matchAll(/\| "([A-Z_]+)"/g)].map(([, code]) => code);
  const rows = [...read("README.md").matchAll(/^\| `([A-Z_]+)` \| (.+) \| (.+) \|$/gm)].map(([, code]) => code);
  expect(codes.length).toBeGreaterThan(20);
  expect(rows).toEqual(codes);
});
