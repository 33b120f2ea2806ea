/** A hub's audit log as it lies in its directory: read and verified without opening it for writing. */
import { type AuditHead, readAuditLog, type VerifiedLog, verifyAuditLog } from "@fed/audit-chain";
import { createFileSegmentStore } from "@fed/audit-chain/node";
import { type AuditEntry, readRecord } from "./audit-trail.js";

/** Verifies the log in `directory`; `expectedHead` only makes sense for the hub's own. */
export function verifyAuditDirectory(
  directory: string,
  key: Uint8Array,
  expectedHead?: AuditHead,
): Promise<VerifiedLog> {
  return verifyAuditLog({ store: createFileSegmentStore(directory), key, expectedHead });
}

/** The records of the log in `directory`, each verified. @throws as {@link verifyAuditDirectory}. */
export async function* readAuditDirectory(
  directory: string,
  key: Uint8Array,
  expectedHead?: AuditHead,
): AsyncGenerator<AuditEntry> {
  const records = readAuditLog({ store: createFileSegmentStore(directory), key, expectedHead });
  for await (const { seq, bytes } of records) yield { seq, record: readRecord(bytes) };
}
