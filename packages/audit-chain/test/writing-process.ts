/** Appends records without end, 1 to 64 at a time, and prints the number of each one that was acknowledged. */
import { writeSync } from "node:fs";
import { openAuditLog } from "@fed/audit-chain";
import { createFileSegmentStore } from "@fed/audit-chain/node";

const [directory, seed] = process.argv.slice(2) as [string, string];
const key = new Uint8Array(32).map((_, i) => i);
const log = await openAuditLog({ store: createFileSegmentStore(directory), key, segmentBytes: 20_000 });
writeSync(1, "open\n");
for (let round = Number(seed); ; round++) {
  const records = Array.from(
    { length: 1 + ((round * 37) % 64) },
    (_, i) => new Uint8Array((round * 101 + i * 13) % 700),
  );
  const heads = await Promise.all(records.map((record) => log.append(record)));
  writeSync(1, `${heads.at(-1)!.seq} ${Buffer.from(heads.at(-1)!.tag).toString("hex")}\n`);
}
