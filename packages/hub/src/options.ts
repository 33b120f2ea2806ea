/** What a hub is made from. */
import type { Clock } from "@fed/core";
import type { AppConfig } from "./apps/app-config.js";

/** Where a socket listens. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
}

/** How a hub takes part in its LAN. */
export interface LanOptions {
  /** Default every address, and a port of the system's choice. */
  readonly listen?: ListenAddress;
  /** `host:port` of hubs to try where multicast does not reach. */
  readonly peers?: readonly string[];
  /** Default true. */
  readonly discovery?: boolean;
}

/** Receives one line of what a hub does, with its facts. */
export interface Logger {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
}

/** Options of {@link createHub}. */
export interface HubOptions {
  /** The state directory. */
  readonly dir: string;
  /** Makes the hub's identity under this name when `dir` holds none. */
  readonly name?: string;
  readonly apps?: Readonly<Record<string, AppConfig>>;
  /** The HTTP port for agents and operators; default none. */
  readonly http?: ListenAddress | false;
  /** Federate over the LAN; default no. */
  readonly lan?: boolean | LanOptions;
  /** Federate over these relays (`wss://…`); default those the manifest names, once the hub is in a cluster. `false`: none. */
  readonly relays?: readonly string[] | false;
  readonly log?: Logger;
  readonly clock?: Clock;
}
