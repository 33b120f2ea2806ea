export {
  type AppConfig,
  type HttpAppConfig,
  type InProcessAppConfig,
  readAppConfig,
  type StdioAppConfig,
} from "./apps/app-config.js";
export { type AuditEntry, readAuditDirectory, readHead, verifyAuditDirectory } from "./audit-trail.js";
export type { ClusterStatus, Peer } from "./cluster/cluster.js";
export type { RevocationReport, RevocationTarget } from "./cluster/revoking.js";
export { HubError, type HubErrorCode } from "./errors.js";
export { createHub, type Hub, type HubCall, type HubCallOptions, type RunFile } from "./hub.js";
export type { Operator, Scope } from "./operator.js";
export type { HubOptions, LanOptions, ListenAddress, Logger } from "./options.js";
export { openSqliteStore } from "./state/sqlite-store.js";
export { openStateDirectory, type SecretName, type StateDirectory } from "./state/state-directory.js";
export { failure, type ListedApp } from "./surface/mcp-surface.js";
