/** What a hub makes of what happens between it and the others: a line in its log, a number, a mark at the peer. */
import type { HubId, Store } from "@fed/core";
import type { Logger } from "../options.js";
import type { RefusalLog } from "../refusal-log.js";
import type { Telemetry } from "../telemetry/telemetry.js";
import type { Cluster } from "./cluster.js";
import type { DuplicateWatch } from "./duplicate.js";
import type { FederationOptions } from "./federation.js";
import { rememberAddress } from "./known-addresses.js";

/** The events of a {@link FederationOptions} that are told here. */
export type FederationEvents = Pick<
  FederationOptions,
  | "onReached"
  | "onPeerUp"
  | "onPeerDown"
  | "onDisplaced"
  | "onRefused"
  | "onOverload"
  | "onRenewalFailed"
  | "onRelayState"
>;

/** Who is told. */
export interface FederationEventsOptions {
  readonly cluster: Pick<Cluster, "sessionChanged">;
  readonly refusals: RefusalLog;
  readonly telemetry: Pick<Telemetry, "refused">;
  readonly duplicates: Pick<DuplicateWatch, "displacedBy" | "countedBy">;
  readonly nameOfHub: (hubId: HubId) => string | undefined;
  readonly store: Store;
  readonly log: Logger;
}

/** See the module header. */
export function federationEvents({
  cluster,
  refusals,
  telemetry,
  duplicates,
  nameOfHub,
  store,
  log,
}: FederationEventsOptions): FederationEvents {
  return {
    onReached: (address) =>
      void rememberAddress(store, address).catch(({ code }) => log.warn({ code }, "a LAN address was not kept")),
    onPeerUp: (peer) => {
      cluster.sessionChanged(peer.hubId, true);
      duplicates.countedBy(peer.hubId);
      log.info({ hub: peer.name }, "a hub is connected");
    },
    onPeerDown: (peer, error) => {
      cluster.sessionChanged(peer.hubId, false);
      log.info({ hub: peer.name, code: error?.code }, "a hub is gone");
    },
    onDisplaced: (hub) => {
      log.warn(
        { hub: nameOfHub(hub) ?? hub },
        "a hub counts another process with this hub's id; it talks to that one now",
      );
      duplicates.displacedBy(hub);
    },
    onRefused: (from, error) => {
      refusals.add(from, error);
      telemetry.refused("handshake", error);
      log.info({ from, code: error.code }, "a peer was refused");
    },
    onOverload: (_peer, error) => telemetry.refused("peer", error),
    onRenewalFailed: ({ code, message }) => log.warn({ code }, message),
    onRelayState: (state) => log.info({ ...state }, "relay"),
  };
}
