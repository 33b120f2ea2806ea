export { SessionError, type SessionErrorCode } from "./errors.js";
export { encodeGreeting } from "./greeting.js";
export { defaultSessionLimits, type SessionLimits } from "./limits.js";
export {
  createSession,
  createSessions,
  type OpenSessionOptions,
  type SessionOptions,
  type Sessions,
  type SessionsOptions,
} from "./sessions.js";
