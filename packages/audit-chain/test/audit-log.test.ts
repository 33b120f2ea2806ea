import { createTestClock, expectCode } from "@fed/core/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maxRecordBytes, openAuditLog, verifyAuditLog } from "../src/index.js";
import { createMemorySegmentStore, type Fault, type StoreOperation } from "../src/memory/index.js";
import { collect, key, readAll, sampleRecords, writeLog } from "./fixtures.js";

const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytesOf = (record: Uint8Array | string) =>
  typeof record === "string" ? new TextEncoder().encode(record) : record;

describe("openAuditLog", () => {
  it("keeps what is appended, in order, across a reopen", async () => {
    const store = await writeLog(sampleRecords(3));
    await using log = await openAuditLog({ store, key });
    expect(log.head().seq).toBe(3);
    expect(log.droppedBytes).toBe(0);
    expect((await log.append(new Uint8Array())).seq).toBe(4);
    expect((await readAll(log)).map(({ seq, bytes }) => [seq, decode(bytes)])).toEqual([
      [1, "record 1"],
      [2, "record 2"],
      [3, "record 3"],
      [4, ""],
    ]);
  });

  it("round-trips any records over any segment size", async () => {
    const record = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "binary", maxLength: 100 }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { maxLength: 20 }),
        fc.integer({ min: 1, max: 2000 }),
        async (records, size) => {
          const store = createMemorySegmentStore();
          await using log = await openAuditLog({ store, key, segmentBytes: size });
          const heads = await Promise.all(records.map((bytes) => log.append(bytes)));
          expect(heads.map((head) => head.seq)).toEqual(records.map((_, i) => i + 1));
          expect((await readAll(log)).map(({ bytes }) => bytes)).toEqual(records.map(bytesOf));
          expect(await verifyAuditLog({ store, key, expectedHead: heads.at(-1) })).toEqual({
            records: records.length,
            head: log.head(),
            tornBytes: 0,
          });
        },
      ),
      { numRuns: 100 },
    );
  });

  it("leaves a record that is appended lazily to the next one, to 100 ms, or to the end", async () => {
    const store = createMemorySegmentStore();
    const clock = createTestClock();
    const log = await openAuditLog({ store, key, clock });
    const [first, second, third, fourth] = sampleRecords(4);
    const lazy = log.append(first!, { lazily: true });
    expect(log.head().seq).toBe(0);
    expect((await log.append(second!)).seq).toBe(2);
    expect((await lazy).seq).toBe(1);

    const late = log.append(third!, { lazily: true });
    await clock.advance(99);
    expect(log.head().seq).toBe(2);
    await clock.advance(1);
    expect((await late).seq).toBe(3);

    log.append(fourth!, { lazily: true }).catch(() => {});
    await log.flush();
    expect(log.head().seq).toBe(4);

    const last = log.append(first!, { lazily: true });
    await log.close();
    expect((await last).seq).toBe(5);
    expect((await verifyAuditLog({ store, key })).records).toBe(5);
  });

  it("begins a new segment at the size given, and keeps segments within it", async () => {
    const store = await writeLog(sampleRecords(10), 200);
    expect([...store.segments.keys()]).toEqual([1, 3, 5, 7, 9].map((n) => `${String(n).padStart(20, "0")}.seg`));
    for (const bytes of store.segments.values()) expect(bytes.length).toBeLessThanOrEqual(200);
  });

  it("reads a part, from the segment that holds it", async () => {
    const store = await writeLog(sampleRecords(10), 200);
    await using log = await openAuditLog({ store, key, segmentBytes: 200 });
    const part = await collect(log.read({ from: 6, limit: 3 }));
    expect(part.map(({ seq, bytes }) => [seq, decode(bytes)])).toEqual([
      [6, "record 6"],
      [7, "record 7"],
      [8, "record 8"],
    ]);
    expect(await collect(log.read({ from: 11 }))).toEqual([]);
    expect(await collect(log.read({ limit: 0 }))).toEqual([]);
    await expectCode(collect(log.read({ from: 0 })), "INVALID_RANGE");
    await expectCode(collect(log.read({ limit: Number.NaN })), "INVALID_RANGE");
    await expectCode(collect(log.read({ signal: AbortSignal.abort() })), "ABORTED");
  });

  it("takes records of up to 64 KiB and copies them", async () => {
    await using log = await openAuditLog({ store: createMemorySegmentStore(), key });
    const record = new Uint8Array(maxRecordBytes).fill(7);
    const appended = log.append(record);
    record.fill(8);
    await appended;
    expect((await readAll(log))[0]?.bytes.every((byte) => byte === 7)).toBe(true);
    await expectCode(log.append(new Uint8Array(maxRecordBytes + 1)), "INVALID_RECORD");
  });

  it("takes a text of up to 64 KiB in UTF-8", async () => {
    await using log = await openAuditLog({ store: createMemorySegmentStore(), key });
    const texts = ["", "é😀", "\ud800", "x".repeat(maxRecordBytes), "é".repeat(maxRecordBytes / 2), "last"];
    await Promise.all(texts.map((text) => log.append(text)));
    expect((await readAll(log)).map(({ bytes }) => bytes)).toEqual(texts.map(bytesOf));
    await expectCode(log.append("x".repeat(maxRecordBytes + 1)), "INVALID_RECORD");
    await expectCode(log.append(`${"é".repeat(maxRecordBytes / 2)}x`), "INVALID_RECORD");
    expect((await log.append("afterwards")).seq).toBe(texts.length + 1);
  });

  it("keeps more records apart than one block of memory holds, while they wait", async () => {
    await using log = await openAuditLog({ store: createMemorySegmentStore(), key });
    const texts = Array.from({ length: 2000 }, (_, i) => `${i} ${"x".repeat(i % 300)}`);
    await Promise.all(texts.map((text) => log.append(text)));
    expect((await readAll(log)).map(({ bytes }) => decode(bytes))).toEqual(texts);
  });

  it("hands out heads that may be changed without harm", async () => {
    const store = createMemorySegmentStore();
    await using log = await openAuditLog({ store, key });
    (await log.append(new Uint8Array(1))).tag.fill(0);
    log.head().tag.fill(0);
    await log.append(new Uint8Array(2));
    expect((await verifyAuditLog({ store, key, expectedHead: log.head() })).records).toBe(2);
  });

  it("refuses a key of another length", async () => {
    await expectCode(openAuditLog({ store: createMemorySegmentStore(), key: new Uint8Array(31) }), "INVALID_KEY");
  });

  it("refuses a second writer until the first has closed", async () => {
    const store = createMemorySegmentStore();
    const log = await openAuditLog({ store, key });
    await expectCode(openAuditLog({ store, key }), "AUDIT_LOCKED");
    await log.close();
    await log.close();
    await expectCode(log.append(new Uint8Array()), "AUDIT_CLOSED");
    await (await openAuditLog({ store, key })).close();
  });

  it("waits for what is queued when it is closed", async () => {
    const store = createMemorySegmentStore();
    const log = await openAuditLog({ store, key });
    const appended = log.append(new Uint8Array(1));
    await log.close();
    expect((await appended).seq).toBe(1);
  });

  it("lets go of the lock when it refuses to open", async () => {
    const store = await writeLog(sampleRecords(2));
    const wrongKey = new Uint8Array(32).fill(9);
    await expectCode(openAuditLog({ store, key: wrongKey }), "AUDIT_TAMPERED");
    await (await openAuditLog({ store, key })).close();
  });

  it("refuses a log that lost acknowledged records", async () => {
    const store = await writeLog(sampleRecords(2));
    const longer = await writeLog(sampleRecords(3));
    const { head } = await verifyAuditLog({ store: longer, key });
    await expectCode(openAuditLog({ store, key, expectedHead: head }), "AUDIT_TRUNCATED");
  });

  it("writes appends that come together with one sync", async () => {
    let syncs = 0;
    const store = createMemorySegmentStore({
      fault(operation) {
        if (operation === "sync") syncs++;
        return undefined;
      },
    });
    await using log = await openAuditLog({ store, key });
    await Promise.all(sampleRecords(100).map((record) => log.append(record)));
    expect(syncs).toBe(1);
  });

  it("is busy rather than hold more than 8 MiB", async () => {
    await using log = await openAuditLog({ store: createMemorySegmentStore(), key });
    const results = await Promise.allSettled(
      Array.from({ length: 140 }, () => log.append(new Uint8Array(maxRecordBytes))),
    );
    const refused = results.filter((result) => result.status === "rejected");
    expect(refused.length).toBe(140 - 127);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: "AUDIT_BUSY", retryable: true });
    expect((await log.append(new Uint8Array(1))).seq).toBe(128);
  });
});

describe("a log whose disk fails", () => {
  const operations: StoreOperation[] = ["append", "sync"];
  const table = operations.flatMap((operation) =>
    ([0, 1, 30, 60, 80, 200, 1e6] as const).flatMap((applied) =>
      (["AUDIT_FULL", "AUDIT_READ_ONLY", "AUDIT_FAILED"] as const).map((code) => ({ operation, applied, code })),
    ),
  );

  it.each(table)("$operation fails with $code, $applied bytes applied", async ({ operation, applied, code }) => {
    for (const segmentBytes of [150, 10_000]) {
      const clock = createTestClock();
      let fault: Fault | undefined;
      const store = createMemorySegmentStore({ fault: (now) => (now === operation ? fault : undefined) });
      await using log = await openAuditLog({ store, key, segmentBytes, clock });
      const acknowledged = [(await log.append(new Uint8Array([1]))).seq, (await log.append(new Uint8Array([2]))).seq];
      const before = log.head();

      fault = { code, applied };
      const batch = [3, 4, 5].map((n) => log.append(new Uint8Array([n])));
      for (const append of batch) await expectCode(append, code);
      expect(log.head()).toEqual(before);
      fault = undefined;
      await expectCode(log.append(new Uint8Array([6])), code);
      await clock.advance(999);
      await expectCode(log.append(new Uint8Array([6])), code);
      await clock.advance(1);
      acknowledged.push((await log.append(new Uint8Array([7]))).seq);

      const records = await readAll(log);
      const kept = records.filter(({ bytes }) => bytes.length === 1).map(({ bytes }) => bytes[0]);
      expect(kept).toEqual([1, 2, 7]);
      for (const { bytes } of records.filter(({ bytes }) => bytes.length > 1)) {
        expect(JSON.parse(decode(bytes))).toEqual({ type: "fed-audit-recovered", droppedBytes: expect.any(Number) });
      }
      const written = operation === "sync" || applied > 0;
      expect(records.length).toBe(written ? 4 : 3);
      expect((await verifyAuditLog({ store, key, expectedHead: log.head() })).tornBytes).toBe(0);
    }
  });

  it("goes on failing while the disk does, and while it cannot be cleaned", async () => {
    const clock = createTestClock();
    const broken = new Set<StoreOperation>();
    const store = createMemorySegmentStore({
      fault: (now) => (broken.has(now) ? { code: "AUDIT_FULL", applied: 10 } : undefined),
    });
    await using log = await openAuditLog({ store, key, clock });
    await log.append(new Uint8Array([1]));
    for (const operations of [["append"], ["append"], ["truncate"], ["list"], ["read"]] as StoreOperation[][]) {
      broken.clear();
      for (const operation of operations) broken.add(operation);
      await expectCode(log.append(new Uint8Array([2])), "AUDIT_FULL");
      await clock.advance(1000);
    }
    broken.clear();
    await log.append(new Uint8Array([3]));
    expect((await readAll(log)).filter(({ bytes }) => bytes.length === 1).map(({ bytes }) => bytes[0])).toEqual([1, 3]);
    await verifyAuditLog({ store, key, expectedHead: log.head() });
  });

  it("does not go on after a log that changed underneath", async () => {
    const clock = createTestClock();
    let fault: Fault | undefined;
    const store = createMemorySegmentStore({ fault: (now) => (now === "sync" ? fault : undefined) });
    await using log = await openAuditLog({ store, key, clock });
    await log.append(new Uint8Array([1]));
    fault = { code: "AUDIT_FAILED" };
    await expectCode(log.append(new Uint8Array([2])), "AUDIT_FAILED");
    fault = undefined;
    const [bytes] = store.segments.values();
    bytes![80]! ^= 1;
    await clock.advance(1000);
    await expectCode(log.append(new Uint8Array([3])), "AUDIT_TAMPERED");
    await clock.advance(10_000);
    await expectCode(log.append(new Uint8Array([3])), "AUDIT_TAMPERED");
  });

  it("turns any other failure of a store into AUDIT_FAILED", async () => {
    const store = createMemorySegmentStore();
    const failing = { ...store, list: () => Promise.reject(new Error("odd")) };
    await expectCode(openAuditLog({ store: failing, key }), "AUDIT_FAILED");
    await expectCode(verifyAuditLog({ store: failing, key }), "AUDIT_FAILED");
  });
});

describe("recovery", () => {
  it("loses nothing acknowledged in a power cut at any point of a write", async () => {
    const store = await writeLog(sampleRecords(3), 150);
    const log = await openAuditLog({ store, key, segmentBytes: 150 });
    const acknowledged = log.head();
    const size = [...store.segments.values()].reduce((sum, bytes) => sum + bytes.length, 0);
    const stuck = { ...store, sync: () => Promise.reject(new Error("never")) };
    await log.close();
    const dying = await openAuditLog({ store: stuck, key, segmentBytes: 150 });
    await Promise.allSettled(sampleRecords(3).map((record) => dying.append(record)));
    await dying.close();
    const unsynced = [...store.segments.values()].reduce((sum, bytes) => sum + bytes.length, 0) - size;
    expect(unsynced).toBeGreaterThan(0);

    for (let kept = 0; kept <= unsynced; kept++) {
      const after = store.afterPowerCut(kept);
      const { tornBytes } = await verifyAuditLog({ store: after, key, expectedHead: acknowledged });
      await using reopened = await openAuditLog({ store: after, key, expectedHead: acknowledged });
      expect(reopened.droppedBytes).toBe(tornBytes);
      const last = (await readAll(reopened)).at(-1)!;
      if (tornBytes > 0) expect(decode(last.bytes)).toBe(`{"droppedBytes":${tornBytes},"type":"fed-audit-recovered"}`);
      await reopened.append(new Uint8Array([1]));
      expect((await verifyAuditLog({ store: after, key, expectedHead: reopened.head() })).tornBytes).toBe(0);
    }
  });

  it("loses nothing acknowledged when a power cut keeps some sectors of the last write and not others", async () => {
    const records = fc.array(
      fc.uint8Array({ minLength: 0, maxLength: 1500 }).map((bytes) => bytes.map((b) => b | 1)),
      {
        minLength: 1,
        maxLength: 6,
      },
    );
    await fc.assert(
      fc.asyncProperty(records, records, fc.array(fc.nat(20)), async (before, under, lost) => {
        const store = createMemorySegmentStore();
        const log = await openAuditLog({ store, key });
        await Promise.all(before.map((record) => log.append(record)));
        const acknowledged = log.head();
        const [[name, { length }]] = [...store.segments] as [[string, Uint8Array]];
        await Promise.all(under.map((record) => log.append(record)));
        await log.close();
        const bytes = store.segments.get(name)!;
        for (const sector of lost) {
          const start = (Math.floor(length / 512) + sector) * 512;
          bytes.fill(0, Math.max(length, start), Math.max(length, start + 512));
        }
        await using reopened = await openAuditLog({ store, key, expectedHead: acknowledged });
        await reopened.append(new Uint8Array([1]));
        await verifyAuditLog({ store, key, expectedHead: reopened.head() });
      }),
    );
  });
});
