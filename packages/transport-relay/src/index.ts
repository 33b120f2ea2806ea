export type { RelayAdmission } from "./admission.js";
export type { RelayClass } from "./capability-token.js";
export { closeCode } from "./close-code.js";
export { RelayError, type RelayErrorCode } from "./errors.js";
export { decodeFrame, encodeFrame, type Frame, keepalive, maxFrameBytes } from "./frame.js";
export { createRelayGuestDial, type RelayGuestDialOptions } from "./guest-dial.js";
export type { RekeyLimits } from "./key-renewal.js";
export { generateNoiseKeyPair, type NoiseKeyPair, noiseKeyPairFromSecret } from "./noise.js";
export {
  createRelayCore,
  type RelayCore,
  type RelayCoreOptions,
  type RelayPlace,
  type RelaySocket,
  type RelayStats,
} from "./relay-core.js";
export {
  clusterTag,
  deriveRelayKeys,
  formatAdmissionKey,
  parseAdmissionKey,
  type RelayKeys,
  routeOf,
} from "./relay-keys.js";
export { defaultRelayLimits, type RelayLimits } from "./relay-limits.js";
export type { RelayState } from "./relay-link.js";
export {
  createRelayTransport,
  type RelayLeaf,
  type RelayTransport,
  type RelayTransportOptions,
} from "./relay-transport.js";
export type { Rate } from "./token-bucket.js";
export { relaySubprotocol, type WebSocketConnect, type WebSocketLike } from "./web-socket.js";
