import type { AuditLog, AuditRecord } from "../src/index.js";
import { openAuditLog } from "../src/index.js";
import { createMemorySegmentStore, type MemorySegmentStore } from "../src/memory/index.js";

export const key = new Uint8Array(32).map((_, i) => i);

/** `count` small records, all different. */
export function sampleRecords(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => new TextEncoder().encode(`record ${i + 1}`));
}

/** A closed log that holds `records`. */
export async function writeLog(
  records: readonly Uint8Array[],
  segmentBytes = 16 * 1024 * 1024,
  store = createMemorySegmentStore(),
): Promise<MemorySegmentStore> {
  await using log = await openAuditLog({ store, key, segmentBytes });
  for (const record of records) await log.append(record);
  return store;
}

export function readAll(log: AuditLog): Promise<AuditRecord[]> {
  return collect(log.read());
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
