export {
  type AppConfig,
  type AppSettings,
  type ClientCredentials,
  type HttpAppConfig,
  type InProcessAppConfig,
  readAppConfig,
  type StdioAppConfig,
} from "./apps/app-config.js";
export type { AppHealth } from "./apps/app-health.js";
export type { AppConfigFile } from "./apps/app-sources.js";
export type { ToolDefinition } from "./apps/tool-list.js";
export { readAuditDirectory, verifyAuditDirectory } from "./audit-directory.js";
export { type AuditEntry, readHead } from "./audit-trail.js";
export type { AppAddress } from "./catalogue/fleet-catalogue.js";
export type {
  AppPage,
  ChangedTool,
  DescribedApp,
  DescribedTool,
  FoundApp,
  FoundPage,
  ListedApp,
  ListedTool,
  ListOptions,
  PageOptions,
  SearchOptions,
} from "./catalogue/listed-app.js";
export type { ToolAcceptance, ToolPinning } from "./catalogue/tool-pins.js";
export type { ClusterStatus, Peer } from "./cluster/cluster.js";
export type { RevocationReport, RevocationTarget } from "./cluster/revoking.js";
export type { Approval, ApprovalDecision, Approvals, StandingAnswer } from "./consent/approvals.js";
export type { RatedTool } from "./consent/guard.js";
export type { Asking, ToolRule, ToolRuleChange, ToolRules } from "./consent/tool-rules.js";
export type { Hub, HubCall, HubCallOptions } from "./contract.js";
export { HubError, type HubErrorCode } from "./errors.js";
export { createHub } from "./hub.js";
export type { OauthOptions } from "./operators/access-tokens.js";
export type { Allowed } from "./operators/allow.js";
export type { Operator, Scope } from "./operators/operator.js";
export type { TokenRequest } from "./operators/token-record.js";
export type { IssuedToken, TokenInfo } from "./operators/tokens.js";
export type { HubOptions, LanOptions, ListenAddress, Logger } from "./options.js";
export { redact, redactText } from "./redaction.js";
export type { RunFile } from "./state/run-file.js";
export { openSqliteStore } from "./state/sqlite-store.js";
export { openStateDirectory, type SecretName, type StateDirectory } from "./state/state-directory.js";
export { failure } from "./surface/tool-failure.js";
export type { Tap, TapEvent, TapOptions } from "./telemetry/tap.js";
