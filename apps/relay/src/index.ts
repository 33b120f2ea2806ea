export { RelayHostError, type RelayHostErrorCode } from "./errors.js";
export { type RelayCommandOptions, runRelay, withRelayOptions } from "./relay-command.js";
export { type RelayNodeOptions, type RunningRelay, type StartRelayOptions, startRelay } from "./start-relay.js";
