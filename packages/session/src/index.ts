export { createSession, type SessionOptions } from "./create-session.js";
export { SessionError, type SessionErrorCode } from "./errors.js";
export { defaultSessionLimits, type SessionLimits } from "./limits.js";
