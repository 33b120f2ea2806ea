export { caPin } from "./ca-pin.js";
export { PairingError, type PairingErrorCode } from "./errors.js";
export { type AcceptJoinOptions, acceptJoin, type JoinRequest } from "./join-issuer.js";
export type { Welcome } from "./join-message.js";
export { type JoinOptions, join } from "./joiner.js";
export { formatPairingToken, generateSecret, type PairingToken, parsePairingToken } from "./pairing-token.js";
export { nextPeerState, type PeerEvent, type PeerState } from "./peer-state.js";
export {
  createTokenBook,
  type IssuedToken,
  type TokenBook,
  type TokenBookOptions,
  type TokenRecord,
} from "./token-book.js";
