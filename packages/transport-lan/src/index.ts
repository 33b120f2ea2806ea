export type { LanCredentials } from "./credentials.js";
export { LanError, type LanErrorCode } from "./errors.js";
export { dialLanGuest } from "./guest.js";
export type { LanLimits } from "./limits.js";
export { createLanTransport, type LanTransport, type LanTransportOptions } from "./transport.js";
