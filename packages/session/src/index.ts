export { createSession, type SessionOptions } from "./create-session.js";
export { SessionError, type SessionErrorCode } from "./errors.js";
export { DEFAULT_LIMITS, type SessionLimits } from "./limits.js";
