/** What a page keeps, over an IndexedDB in memory; page-hub.test.ts has a browser's own. */
import "fake-indexeddb/auto";
import { openAuditLog, verifyAuditLog } from "@fed/audit-chain";
import { createTestClock, expectCode, testStore } from "@fed/core/testing";
import { afterEach, describe, expect, it } from "vitest";
import { createIndexedDbSegmentStore } from "../../src/page/indexed-db-segments.js";
import { createIndexedDbStore } from "../../src/page/indexed-db-store.js";
import { openPageDatabase, type PageDatabase } from "../../src/page/page-database.js";
import { openPageSecrets } from "../../src/page/page-secrets.js";

let databases = 0;
const fresh = (): Promise<PageDatabase> => openPageDatabase(`hub ${databases++}`);

testStore("IndexedDB", async () => {
  const database = await fresh();
  return {
    store: createIndexedDbStore(database),
    reopen: async () => createIndexedDbStore(database),
    close: () => database.close(),
  };
});

describe("a page's database", () => {
  it("has one user at a time, and the next when that one is gone", async () => {
    const first = await fresh();
    await expectCode(openPageDatabase(first.name), "STATE_LOCKED");
    await first.close();
    await first.close();
    await (await openPageDatabase(first.name)).close();
  });

  it("that the browser has closed ends in STORE_CLOSED and AUDIT_FAILED", async () => {
    const database = await fresh();
    await database.close();
    await expectCode(createIndexedDbStore(database).get(["a"]), "STORE_CLOSED");
    await expectCode(createIndexedDbSegmentStore(database).list(), "AUDIT_FAILED");
  });

  it("is nowhere to be had without IndexedDB: STATE_UNWRITABLE", async () => {
    const { indexedDB } = globalThis;
    try {
      Reflect.deleteProperty(globalThis, "indexedDB");
      await expectCode(openPageDatabase("none"), "STATE_UNWRITABLE");
    } finally {
      globalThis.indexedDB = indexedDB;
    }
  });

  it("is nowhere to be had in a page of an opaque origin: STATE_UNWRITABLE", async () => {
    const { navigator } = globalThis;
    const request = async () => {
      throw new DOMException("Access to the Locks API is denied in this context.", "SecurityError");
    };
    try {
      Object.defineProperty(globalThis, "navigator", { value: { locks: { request } }, configurable: true });
      await expectCode(openPageDatabase("none"), "STATE_UNWRITABLE");
    } finally {
      Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
    }
  });

  it("keeps secrets for the next time", async () => {
    await using database = await fresh();
    const store = createIndexedDbStore(database);
    await (await openPageSecrets(store, "here")).writeSecret("leaf", Uint8Array.of(1, 2));
    const secrets = await openPageSecrets(store, "here");
    expect(secrets.readSecret("leaf")).toEqual(Uint8Array.of(1, 2));
    expect(secrets.readSecret("noise")).toBeUndefined();
  });
});

describe("an audit log in IndexedDB", () => {
  const key = new Uint8Array(32).fill(5);
  const clock = createTestClock();
  /** On disk: header, bytes, tag. */
  const recordBytes = 20 + 40 + 32;
  const record = (n: number) => new Uint8Array(40).fill(n);
  let database: PageDatabase;
  const open = async () =>
    openAuditLog({ store: createIndexedDbSegmentStore(database), key, clock, segmentBytes: 300 });

  afterEach(() => database.close());

  it("is kept, goes on in the next life and verifies", async () => {
    database = await fresh();
    let log = await open();
    for (let n = 1; n <= 9; n++) await log.append(record(n));
    const head = log.head();
    await log.close();
    const store = createIndexedDbSegmentStore(database);
    expect((await store.list()).length).toBeGreaterThan(1);
    expect(await verifyAuditLog({ store, key, expectedHead: head })).toMatchObject({ records: 9 });
    log = await open();
    expect((await log.append(record(10))).seq).toBe(10);
    const seen: number[] = [];
    for await (const { bytes } of log.read({ from: 1 })) seen.push(bytes[0]!);
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    await log.close();
  });

  it("cuts off what a page that was closed half-way has left of a record", async () => {
    database = await fresh();
    let log = await open();
    await log.append(record(1));
    await log.append(record(2));
    await log.close();
    const store = createIndexedDbSegmentStore(database);
    const [name] = await store.list();
    const whole = await store.read(name!, 0, 1_000);
    await store.truncate(name!, whole.length - 7);
    expect(await store.read(name!, 0, 1_000)).toEqual(whole.slice(0, -7));
    log = await open();
    expect(log.droppedBytes).toBe(recordBytes - 7);
    await log.append(record(3));
    await log.close();
    expect(await verifyAuditLog({ store, key })).toMatchObject({ tornBytes: 0 });
  });

  it("that was changed is refused", async () => {
    database = await fresh();
    const log = await open();
    for (let n = 1; n <= 3; n++) await log.append(record(n));
    await log.close();
    const store = createIndexedDbSegmentStore(database);
    const [name] = await store.list();
    const bytes = await store.read(name!, 0, 1_000);
    bytes[80]! ^= 1;
    await store.truncate(name!, 0);
    expect(await store.list()).toContain(name);
    await store.append(name!, bytes);
    await expectCode(open(), "AUDIT_TAMPERED");
  });

  it("is written once at a time, and a segment that is not there is no empty one", async () => {
    database = await fresh();
    const store = createIndexedDbSegmentStore(database);
    await using log = await openAuditLog({ store, key, clock });
    await expectCode(openAuditLog({ store, key, clock }), "AUDIT_LOCKED");
    await expectCode(store.read("none", 0, 10), "AUDIT_FAILED");
    expect(log.head().seq).toBe(0);
  });

  it("reads any part of a segment that was written in pieces", async () => {
    database = await fresh();
    const store = createIndexedDbSegmentStore(database);
    const all = Uint8Array.from({ length: 60 }, (_, i) => i);
    for (const [from, to] of [
      [0, 1],
      [1, 20],
      [20, 45],
      [45, 60],
    ] as const)
      await store.append("s", all.slice(from, to));
    for (const [offset, bytes] of [
      [0, 60],
      [0, 1],
      [1, 1],
      [19, 2],
      [30, 100],
      [60, 5],
      [59, 1],
      [7, 0],
    ] as const) {
      expect(await store.read("s", offset, bytes)).toEqual(all.slice(offset, offset + bytes));
    }
    await store.truncate("s", 30);
    await store.append("s", Uint8Array.of(99));
    expect(await store.read("s", 28, 10)).toEqual(Uint8Array.of(28, 29, 99));
  });
});
