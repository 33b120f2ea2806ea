/** Writes an audit log, changes one byte of a copy, and shows that verification names the record that was changed. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AuditError, openAuditLog, verifyAuditLog } from "@fed/audit-chain";
import { createFileSegmentStore } from "@fed/audit-chain/node";

const place = await mkdtemp(join(tmpdir(), "tamper-evident-log-"));
const original = join(place, "log");
const copy = join(place, "copy");
const key = randomBytes(32);

try {
  // Every append has reached the disk before the next line runs.
  const log = await openAuditLog({ store: createFileSegmentStore(original), key });
  for (const decision of ["allow alice pc2/notes", "deny bob pc2/payroll", "allow carol pc3/printer"]) {
    const { seq } = await log.append(decision);
    console.log(`appended  ${seq}  ${decision}`);
  }
  const head = log.head();
  await log.close();

  const verified = await verifyAuditLog({ store: createFileSegmentStore(original), key, expectedHead: head });
  assert.equal(verified.records, 3);
  console.log(`verified  ${verified.records} records`);

  // Somebody who does not know the key puts another name into record 2.
  await cp(original, copy, { recursive: true });
  const [segment] = (await readdir(copy)).filter((name) => name.endsWith(".seg"));
  assert(segment);
  const bytes = await readFile(join(copy, segment));
  const at = bytes.indexOf("deny bob");
  bytes[at + "deny ".length] = "r".charCodeAt(0);
  await writeFile(join(copy, segment), bytes);

  const verdict = await verdictOn(copy);
  assert.equal(verdict?.code, "AUDIT_TAMPERED");
  assert.equal(verdict.seq, 2);
  console.log(`changed   ${verdict.code}: ${verdict.message} (${segment}, offset ${verdict.offset})`);

  // Somebody cuts off the last record; the chain alone is intact, the head kept elsewhere tells.
  const whole = await readFile(join(original, segment));
  await writeFile(join(copy, segment), whole.subarray(0, -("allow carol pc3/printer".length + 52)));
  const shorter = await verdictOn(copy, head);
  assert.equal(shorter?.code, "AUDIT_TRUNCATED");
  console.log(`cut       ${shorter.code}: ${shorter.message}`);
} finally {
  await rm(place, { recursive: true });
}

/** What verification says against the log in `directory`. */
async function verdictOn(directory: string, expectedHead?: { seq: number; tag: Uint8Array }) {
  try {
    await verifyAuditLog({ store: createFileSegmentStore(directory), key, expectedHead });
  } catch (error) {
    assert(error instanceof AuditError);
    return error;
  }
  return undefined;
}
