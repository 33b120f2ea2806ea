/** Appends per second of 200-byte records to a log on the local disk. Run after a build: `node bench/append.ts [directory]`. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditLog, openAuditLog, type SegmentStore, verifyAuditLog } from "@fed/audit-chain";
import { createFileSegmentStore } from "@fed/audit-chain/node";

const record = new Uint8Array(200).fill(0x61);
const key = new Uint8Array(32).fill(7);
const base = process.argv[2] ?? tmpdir();

async function measure(name: string, concurrent: number, spoil: (store: SegmentStore) => SegmentStore): Promise<void> {
  const directory = await mkdtemp(join(base, "fed-audit-bench-"));
  const store = spoil(createFileSegmentStore(directory));
  const log = await openAuditLog({ store, key });
  const seconds = 3;
  const started = performance.now();
  await Promise.all(Array.from({ length: concurrent }, () => appendUntil(log, started + seconds * 1000)));
  const rate = (count: number, since: number) =>
    Math.round(count / ((performance.now() - since) / 1000)).toLocaleString();
  console.log(`${name.padEnd(28)} ${rate(log.head().seq, started).padStart(9)} appends/s`);
  await log.close();
  const verifying = performance.now();
  const { records } = await verifyAuditLog({ store, key });
  console.log(`${"  verified afterwards".padEnd(28)} ${rate(records, verifying).padStart(9)} records/s`);
  await rm(directory, { recursive: true });
}

async function appendUntil(log: AuditLog, endMs: number): Promise<void> {
  while (performance.now() < endMs) await log.append(record);
}

await measure("no sync, 32 at once", 32, (store) => ({ ...store, sync: async () => {} }));
await measure("durable, one at a time", 1, (store) => store);
await measure("durable, 32 at once", 32, (store) => store);
await measure("durable, 256 at once", 256, (store) => store);
