import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectCode, testStore } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { openSqliteStore } from "../src/state/sqlite-store.js";

function scratch(): { path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "fed-store-"));
  return { path: join(folder, "hub.sqlite"), remove: () => rmSync(folder, { recursive: true, force: true }) };
}

testStore("node:sqlite", async () => {
  const { path, remove } = scratch();
  const store = openSqliteStore(path);
  return { store, reopen: async () => openSqliteStore(path), close: async () => remove() };
});

describe("the file", () => {
  it("is for its owner alone", async () => {
    const { path, remove } = scratch();
    await using store = openSqliteStore(path);
    await store.set(["a"], new Uint8Array(1));
    expect(statSync(path).mode & 0o777).toBe(0o600);
    remove();
  });

  it("that is no database ends in STORE_CORRUPT", async () => {
    const { path, remove } = scratch();
    writeFileSync(path, "this is not a database, and is longer than a hundred bytes, ".repeat(4));
    await expectCode(() => openSqliteStore(path), "STORE_CORRUPT");
    remove();
  });

  it("in a folder that is not there ends in STORE_READ_ONLY", async () => {
    await expectCode(() => openSqliteStore("/nonexistent/hub.sqlite"), "STORE_READ_ONLY");
  });
});
