export type { LargerRevocationListener } from "./call.js";
export type { CallOptions, CallTarget } from "./call-target.js";
export type { AppPage, CatalogueEntry, HubsSeen, PageOptions, Place, ShowOptions } from "./catalogue-page.js";
export type { SearchHit, SearchOptions, SearchPage } from "./catalogue-search.js";
export type { LocateOptions, Router, RouterOptions, StreamProtocol } from "./contract.js";
export type { PeerStatus } from "./directory.js";
export { detailsOf, type ErrorDetails, RemoteError, RouterError, type RouterErrorCode } from "./errors.js";
export { InFlight } from "./in-flight.js";
export { limits } from "./limits.js";
export type { ListenerStatus } from "./listeners.js";
export type { ListedApp, ToolSummary } from "./listing.js";
export { toolHash } from "./own-listing.js";
export type { PathEvent } from "./path-history.js";
export type { PathStatus } from "./path-status.js";
export type { SessionSource } from "./peer-paths.js";
export type {
  AppContext,
  AppRequest,
  AppStatus,
  AuditRecord,
  AuditSink,
  Caller,
  Consent,
  ConsentGiven,
  ConsentRequest,
  Digest,
  Envelope,
  EnvelopeRequest,
  EnvelopeSigner,
  EnvelopeVerifier,
  KeyJournal,
  LocalApp,
  LocalApps,
  Member,
  Notification,
  PeerAuthorizer,
  PeerEvents,
  RevocationChecker,
  Risk,
  SharingDecision,
  SharingPolicy,
  SharingRequest,
  ToolDefinition,
  UsedKey,
} from "./ports.js";
export { appStatuses } from "./ports.js";
export { type Rate, RateLimit } from "./rate-limit.js";
export { actionOf } from "./request-facts.js";
export { createRouter } from "./router.js";
export type { StreamHeader } from "./wire.js";
