/** What a hub is made from. */
import type { Clock } from "@fed/core";
import type { Rate } from "@fed/router";
import type { AppConfig } from "./apps/app-config.js";
import type { ToolPinning } from "./catalogue/tool-pins.js";
import type { OauthOptions } from "./operators/access-tokens.js";

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
  /** One line for each call. Absent: none is made. */
  debug?(facts: object, message: string): void;
}

/** Options of {@link createHub}. */
export interface HubOptions {
  /** The state directory. */
  readonly dir: string;
  /** Makes the hub's identity under this name when `dir` holds none. */
  readonly name?: string;
  readonly apps?: Readonly<Record<string, AppConfig>>;
  /** An `mcpServers` file with further apps. It is watched: what changes in it is in force within a second. Default none. */
  readonly mcpConfig?: string;
  /** The HTTP port for agents and operators; default none. */
  readonly http?: ListenAddress | false;
  /** Federate over the LAN; default no. */
  readonly lan?: boolean | LanOptions;
  /** Federate over these relays (`wss://…`); default those the manifest names, once the hub is in a cluster. `false`: none. */
  readonly relays?: readonly string[] | false;
  /** Accept access tokens of this authorization server beside the hub's own; default none. */
  readonly oauth?: OauthOptions;
  /** How long a call that waits for this hub's operator waits: 1 ms to 1 h; default 120 000 ms. */
  readonly approvalTimeoutMs?: number;
  /**
   * What happens when a tool's definition is not the one that was first seen: `alert` tells, `approve` also refuses its calls
   * until `apps.acceptTools`. Default `alert`.
   */
  readonly toolPinning?: ToolPinning;
  readonly limits?: {
    /** Requests of one operator to the HTTP port, all its tokens together. Default 5000 a second, 20 000 at once. */
    readonly operator?: Rate;
    /** Calls, listings and subscriptions of one peer. Default 4000 a second, 20 000 at once. */
    readonly peer?: Rate;
  };
  /** Who may read `/metrics` at the HTTP port: whoever has a token that is not narrowed, or everybody. Default `token`. */
  readonly metrics?: "token" | "open";
  readonly log?: Logger;
  readonly clock?: Clock;
}
