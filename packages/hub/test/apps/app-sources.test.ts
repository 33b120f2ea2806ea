import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { McpServer } from "@modelcontextprotocol/server";
import { expect, it } from "vitest";
import { AppSources } from "../../src/apps/app-sources.js";
import type { AppConfig } from "../../src/index.js";
import { openHost, tinyApp } from "./host.js";

const entry = (more: object = {}) => ({ command: tinyApp.command, args: tinyApp.args, ...more });

async function openSources(given: Record<string, AppConfig> = {}) {
  const apps = await openHost({});
  const file = apps.file("apps.json");
  const write = (mcpServers: object) => writeFileSync(file, JSON.stringify({ mcpServers }));
  write({ one: entry(), two: entry() });
  const logged: string[] = [];
  const log = {
    info: (_facts: object, text: string) => logged.push(text),
    warn: (_facts: object, text: string) => logged.push(text),
  };
  const sources = new AppSources({ host: apps.host, given, file, clock: systemClock, log });
  return {
    ...apps,
    file,
    write,
    sources,
    logged,
    names: () => apps.host.list().map(({ app }) => app),
    async [Symbol.asyncDispose]() {
      await sources.close();
      await apps[Symbol.asyncDispose]();
    },
  };
}

it("an mcpServers file that is changed is in force by itself, and what stays the same is not touched", async () => {
  await using apps = await openSources();
  await apps.sources.open();
  const [one, two] = [await apps.call("one", "pid"), await apps.call("two", "pid")];
  apps.write({ one: entry({ fed: { title: "One" } }), three: entry() });
  await expect.poll(apps.names).toEqual(["one", "three"]);
  expect(await apps.call("one", "pid")).toBe(one);
  expect(await apps.call("three", "pid")).not.toBe(two);
  await expectCode(apps.call("two", "pid"), "APP_UNKNOWN");
  expect(apps.sources.file()).toMatchObject({ path: apps.file });
});

it("is followed when an editor puts another file in its place, or it is a link to one elsewhere", async () => {
  await using apps = await openSources();
  await apps.sources.open();
  writeFileSync(`${apps.file}.new`, JSON.stringify({ mcpServers: { four: entry() } }));
  renameSync(`${apps.file}.new`, apps.file);
  await expect.poll(apps.names).toEqual(["four"]);
  await apps.sources.close();

  mkdirSync(join(apps.root, "real"));
  const real = join(apps.root, "real", "apps.json");
  writeFileSync(real, JSON.stringify({ mcpServers: { five: entry() } }));
  rmSync(apps.file);
  symlinkSync(real, apps.file);
  const log = { info() {}, warn() {} };
  await using linked = new AppSources({ host: apps.host, given: {}, file: apps.file, clock: systemClock, log });
  await linked.open();
  expect(apps.names()).toEqual(["five"]);
  writeFileSync(real, JSON.stringify({ mcpServers: { six: entry() } }));
  await expect.poll(apps.names).toEqual(["six"]);
});

it("that is broken or gone leaves the apps as they are and says why, until it is mended", async () => {
  await using apps = await openSources();
  await apps.sources.open();
  const one = await apps.call("one", "pid");
  writeFileSync(apps.file, '{"mcpServers": {');
  await expect.poll(() => apps.sources.file()?.error?.code).toBe("APP_CONFIG_INVALID");
  rmSync(apps.file);
  await expect.poll(() => apps.sources.file()?.error?.message).toContain("ENOENT");
  expect(await apps.call("one", "pid")).toBe(one);
  expect(apps.logged.every((text) => text.includes("not in force"))).toBe(true);
  apps.write({ one: entry() });
  await expect.poll(() => apps.sources.file()?.error).toBeUndefined();
  expect(apps.names()).toEqual(["one"]);
  expect(await apps.call("one", "pid")).toBe(one);
});

it("that is wrong from the beginning is no beginning", async () => {
  await using apps = await openSources();
  writeFileSync(apps.file, "[]");
  await expectCode(apps.sources.open(), "APP_CONFIG_INVALID");
});

it("stands beside the apps of the program, under other names", async () => {
  const server = () => new McpServer({ name: "inside", version: "1.0.0" }, { capabilities: { tools: {} } });
  await using apps = await openSources({ inside: { server } });
  await apps.sources.open();
  expect(apps.names()).toEqual(["inside", "one", "two"]);
  await apps.sources.configure({ inside: { server }, other: { server } });
  expect(apps.names()).toEqual(["inside", "other", "one", "two"]);
  await expectCode(apps.sources.configure({ one: { server } }), "APP_CONFIG_INVALID");
  apps.write({ inside: entry() });
  await expect.poll(() => apps.sources.file()?.error?.code).toBe("APP_CONFIG_INVALID");
  expect(apps.names()).toEqual(["inside", "other", "one", "two"]);
});
