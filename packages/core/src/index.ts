export {
  concatBytes,
  decodeBase32,
  decodeBase64Url,
  decodeHex,
  decodeUtf8,
  encodeBase32,
  encodeBase64Url,
  encodeHex,
  encodeUtf8,
  equalBytes,
  randomBytes,
} from "./bytes.js";
export { type Clock, systemClock, type Timer } from "./clock.js";
export {
  abortedError,
  CoreError,
  type CoreErrorCode,
  FedError,
  type FedErrorInit,
  isFedError,
  throwIfAborted,
  toFedError,
} from "./errors.js";
export type { ClusterId, HubId, PeerAuthenticator, PeerEvidence, PeerIdentity } from "./identity.js";
export { canonicalJson, type Json, type JsonLimits, parseJson } from "./json.js";
export { LiveMap, LiveSet } from "./live.js";
export { isAppName, isHubName, isRoleName } from "./name.js";
export {
  type ErrorReport,
  type ErrorTextLimits,
  isErrorCode,
  oneLine,
  PeerError,
  readErrorReport,
  reportError,
} from "./peer-error.js";
export type { OpenOptions, Priority, Session, SessionHandler, SessionPath, Stream } from "./session.js";
export {
  checkStoreKey,
  checkStorePrefix,
  checkStoreValue,
  compareStoreKeys,
  type Store,
  type StoreEntry,
  StoreError,
  type StoreErrorCode,
  type StoreKey,
} from "./store.js";
export { Tally } from "./tally.js";
export {
  type Candidate,
  type Connection,
  type ConnectionHandler,
  type DialOptions,
  type Discovery,
  type GuestDial,
  type GuestDialOptions,
  type Listener,
  type ListenHandler,
  MAX_GREETING_BYTES,
  type Transport,
} from "./transport.js";
