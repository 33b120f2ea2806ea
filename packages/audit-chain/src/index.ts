export {
  type AppendOptions,
  type AuditLog,
  type AuditLogOptions,
  type AuditRecord,
  openAuditLog,
  type ReadOptions,
} from "./audit-log.js";
export { AuditError, type AuditErrorCode, type AuditPlace } from "./errors.js";
export { maxRecordBytes } from "./record.js";
export type { AuditHead } from "./scan.js";
export type { SegmentStore } from "./segment.js";
export { readAuditLog, type VerifiedLog, type VerifyOptions, verifyAuditLog } from "./verify.js";
