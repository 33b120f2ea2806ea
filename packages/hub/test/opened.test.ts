import { expect, it } from "vitest";
import { Opened } from "../src/opened.js";

it("what was opened is closed in reverse, once, whatever fails, and the first failure is told", async () => {
  const closed: string[] = [];
  const opened = new Opened();
  const resource = { [Symbol.asyncDispose]: async () => void closed.push("resource") };
  opened.defer(() => closed.push("first"));
  opened.defer(() => Promise.reject(new Error("second")));
  expect(opened.use(resource)).toBe(resource);
  opened.defer(() => {
    throw new Error("last");
  });
  await expect(opened[Symbol.asyncDispose]()).rejects.toThrow("last");
  expect(closed).toEqual(["resource", "first"]);
  await opened[Symbol.asyncDispose]();
  expect(closed).toHaveLength(2);
});
