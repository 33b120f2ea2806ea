import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { decodeHex, encodeHex } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { AuditError, openAuditLog, readAuditLog, verifyAuditLog } from "../src/index.js";
import { createMemorySegmentStore, type MemorySegmentStore } from "../src/memory/index.js";
import { collect, key, readAll, sampleRecords, writeLog } from "./fixtures.js";

interface Segment {
  name: string;
  bytes: string;
  sha256?: string;
}
interface Vectors {
  valid: { name: string; key: string; segmentBytes: number; records: string[]; tags: string[]; segments: Segment[] }[];
  torn: { name: string; key: string; segments: Segment[]; records: number; tornBytes: number }[];
  invalid: {
    name: string;
    key: string;
    segments: Segment[];
    expectedHead?: { seq: number; tag: string };
    code: string;
    seq: number;
  }[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/audit-chain/chain.json", import.meta.url), "utf8"),
) as Vectors;

function storeOf(segments: readonly Segment[]): MemorySegmentStore {
  return createMemorySegmentStore({
    segments: new Map(segments.map(({ name, bytes }) => [name, decodeHex(bytes)] as const)),
  });
}

async function auditError(promise: Promise<unknown>, code: string): Promise<AuditError> {
  const error = await expectCode(promise, code);
  if (!(error instanceof AuditError)) expect.fail("Not an AuditError.");
  return error;
}

describe("vectors/audit-chain/chain.json", () => {
  it.each(vectors.valid)("valid: $name", async ({ key, segmentBytes, records, tags, segments }) => {
    const store = createMemorySegmentStore();
    const log = await openAuditLog({ store, key: decodeHex(key), segmentBytes });
    const written = await Promise.all(records.map((record) => log.append(decodeHex(record))));
    await log.close();
    expect(written.map(({ tag }) => encodeHex(tag))).toEqual(tags);
    expect([...store.segments.keys()].sort()).toEqual(segments.map(({ name }) => name));
    for (const { name, bytes, sha256 } of segments) {
      expect(encodeHex(store.segments.get(name)!)).toBe(bytes);
      expect(createHash("sha256").update(store.segments.get(name)!).digest("hex")).toBe(sha256);
    }
    const verified = await verifyAuditLog({
      store: storeOf(segments),
      key: decodeHex(key),
      expectedHead: written.at(-1),
    });
    expect(verified.records).toBe(records.length);
  });

  it.each(vectors.torn)("torn: $name", async ({ key, segments, records, tornBytes }) => {
    const store = storeOf(segments);
    expect(await verifyAuditLog({ store, key: decodeHex(key) })).toMatchObject({ records, tornBytes });
    await using log = await openAuditLog({ store, key: decodeHex(key) });
    expect(log.droppedBytes).toBe(tornBytes);
    const head = await log.append(new Uint8Array([1]));
    expect(head.seq).toBe(records + (tornBytes > 0 ? 2 : 1));
    expect(await verifyAuditLog({ store, key: decodeHex(key) })).toMatchObject({ records: head.seq, tornBytes: 0 });
  });

  it.each(vectors.invalid)("invalid: $name", async ({ key, segments, expectedHead, code, seq }) => {
    const options = {
      key: decodeHex(key),
      expectedHead: expectedHead && { seq: expectedHead.seq, tag: decodeHex(expectedHead.tag) },
    };
    expect((await auditError(verifyAuditLog({ store: storeOf(segments), ...options }), code)).seq).toBe(seq);
    const store = storeOf(segments);
    expect((await auditError(openAuditLog({ store, ...options }), code)).seq).toBe(seq);
    expect(segments.map(({ name }) => encodeHex(store.segments.get(name)!))).toEqual(segments.map((s) => s.bytes));
  });

  it("has cases", () => {
    console.info(
      `chain.json: ${vectors.valid.length} valid, ${vectors.torn.length} torn, ${vectors.invalid.length} invalid cases ran`,
    );
    expect(vectors.invalid.length).toBeGreaterThan(40);
  });
});

describe("reading without the writer's lock", () => {
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

  it("hands out what is there, while a writer has the log open", async () => {
    const store = createMemorySegmentStore();
    await using log = await openAuditLog({ store, key, segmentBytes: 200 });
    for (const record of sampleRecords(6)) await log.append(record);
    const records = await collect(readAuditLog({ store, key, expectedHead: log.head() }));
    expect(records.map(({ seq, bytes }) => `${seq} ${text(bytes)}`)).toEqual(
      Array.from({ length: 6 }, (_, i) => `${i + 1} record ${i + 1}`),
    );
  });

  it("hands out the good records, then says which is the first that is not", async () => {
    const store = await writeLog(sampleRecords(6));
    const bytes = [...store.segments.values()][0]!;
    const at = text(bytes).indexOf("record 4");
    bytes[at]! ^= 1;
    const seen: number[] = [];
    const reading = (async () => {
      for await (const { seq } of readAuditLog({ store, key })) seen.push(seq);
    })();
    expect((await auditError(reading, "AUDIT_TAMPERED")).seq).toBe(4);
    expect(seen).toEqual([1, 2, 3]);
  });
});

describe("every change to a small log", () => {
  it("is found when a single byte differs, whichever byte and bit", async () => {
    const store = await writeLog(sampleRecords(6), 200);
    let flips = 0;
    for (const [name, bytes] of store.segments) {
      for (let offset = 0; offset < bytes.length; offset++) {
        for (let bit = 0; bit < 8; bit++) {
          bytes[offset]! ^= 1 << bit;
          const error = await auditError(verifyAuditLog({ store, key }), "AUDIT_TAMPERED");
          expect(error.segment).toBe(name);
          expect(error.offset).toBeLessThanOrEqual(offset);
          expect(error.offset).toBeGreaterThan(offset - 100);
          bytes[offset]! ^= 1 << bit;
          flips++;
        }
      }
    }
    console.info(`${flips} single-bit changes, all found`);
    expect((await verifyAuditLog({ store, key })).records).toBe(6);
  });

  it("is found, or is a legal torn tail, when it is cut anywhere", async () => {
    const store = await writeLog(sampleRecords(6), 200);
    const { head } = await verifyAuditLog({ store, key });
    const names = [...store.segments.keys()];
    for (const name of names) {
      const whole = store.segments.get(name)!;
      for (let length = 0; length < whole.length; length++) {
        store.segments.set(name, whole.slice(0, length));
        if (name === names.at(-1)) {
          const verified = await verifyAuditLog({ store, key });
          expect(verified.head.seq).toBeLessThan(6);
          await auditError(verifyAuditLog({ store, key, expectedHead: head }), "AUDIT_TRUNCATED");
        } else {
          await auditError(verifyAuditLog({ store, key }), "AUDIT_TAMPERED");
        }
      }
      store.segments.set(name, whole);
    }
  });

  it("is found when bytes stand between or after records, unless they could begin the next one", async () => {
    const store = await writeLog(sampleRecords(2));
    const [[name, bytes]] = [...store.segments] as [[string, Uint8Array]];
    for (const extra of [20, 21, 100]) {
      store.segments.set(name, new Uint8Array([...bytes, ...new Uint8Array(extra).fill(0xff)]));
      expect((await auditError(verifyAuditLog({ store, key }), "AUDIT_TAMPERED")).seq).toBe(3);
    }
    store.segments.set(name, new Uint8Array([...bytes, ...new Uint8Array(1024 * 1024 + 1)]));
    expect((await auditError(verifyAuditLog({ store, key }), "AUDIT_TAMPERED")).seq).toBe(3);
  });
});

describe("verifyAuditLog", () => {
  it("leaves a torn tail as it is and ignores the writer's lock", async () => {
    const store = await writeLog(sampleRecords(2));
    const [[name, bytes]] = [...store.segments] as [[string, Uint8Array]];
    store.segments.set(name, bytes.slice(0, -1));
    const size = bytes.length - 1;
    expect(await verifyAuditLog({ store, key })).toMatchObject({ records: 1, tornBytes: 20 + 8 + 32 - 1 });
    expect(store.segments.get(name)?.length).toBe(size);
    await using log = await openAuditLog({ store, key });
    expect((await verifyAuditLog({ store, key })).records).toBe(2);
    expect((await readAll(log)).length).toBe(2);
  });

  it("reads again what a writer was at when it was read", async () => {
    const store = await writeLog(sampleRecords(4));
    const whole = store.read;
    let reads = 0;
    const busy = {
      ...store,
      async read(name: string, offset: number, maxBytes: number) {
        const bytes = await whole(name, offset, maxBytes);
        // Some bytes of the last record are there, and the first are not.
        if (reads++ === 0) bytes.fill(0, bytes.length - 50, bytes.length - 40);
        return bytes;
      },
    };
    expect(await verifyAuditLog({ store: busy, key })).toMatchObject({ records: 4, tornBytes: 0 });
    expect(reads).toBeGreaterThan(1);
  });

  it("stops when it is told to", async () => {
    const store = await writeLog(sampleRecords(2));
    await expectCode(verifyAuditLog({ store, key, signal: AbortSignal.abort() }), "ABORTED");
  });

  it("takes an empty log, whose head is the tag before the first record", async () => {
    const verified = await verifyAuditLog({ store: createMemorySegmentStore(), key });
    expect(verified).toMatchObject({ records: 0, head: { seq: 0 }, tornBytes: 0 });
    expect(verified.head.tag.length).toBe(32);
  });
});
