/** What a host of the relay needs, without the client: no Noise, so it bundles for a Worker. */
export type { RelayAdmission } from "../admission.js";
export type { CapabilityClaims, RelayClass, TokenCheck } from "../capability-token.js";
export { closeCode, formatCloseReason, formatRedirect, refusalOf } from "../close-code.js";
export { RelayError, type RelayErrorCode } from "../errors.js";
export { decodeFrame, encodeFrame, type Frame, keepalive, maxFrameBytes } from "../frame.js";
export {
  createRelayCore,
  type RelayCore,
  type RelayCoreOptions,
  type RelayPlace,
  type RelaySocket,
  type RelayStats,
} from "../relay-core.js";
export { clusterTag, formatAdmissionKey, parseAdmissionKey } from "../relay-keys.js";
export { defaultRelayLimits, type RelayLimits } from "../relay-limits.js";
export type { Rate } from "../token-bucket.js";
export { relaySubprotocol, verifyUpgrade } from "../web-socket.js";
