export { createClusterTags } from "./cluster-tag.js";
export type { LanCredentials } from "./credentials.js";
export type { DiscoveryOptions, DiscoveryState } from "./discovery.js";
export { LanError, type LanErrorCode } from "./errors.js";
export { dialLanGuest } from "./guest.js";
export type { LanLimits } from "./limits.js";
export type { InterfaceState } from "./mdns-link.js";
export { createLanTransport, type LanTransport, type LanTransportOptions } from "./transport.js";
