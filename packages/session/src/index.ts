export { SessionError, type SessionErrorCode } from "./errors.js";
export { defaultSessionLimits, type SessionLimits } from "./limits.js";
export { createSession, createSessions, type SessionOptions, type Sessions, type SessionsOptions } from "./sessions.js";
