export { createSession, type SessionOptions } from "./create-session.js";
export { PeerError, SessionError, type SessionErrorCode } from "./errors.js";
export { DEFAULT_LIMITS, type SessionLimits } from "./limits.js";
