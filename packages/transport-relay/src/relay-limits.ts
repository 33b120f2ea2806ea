/** What one socket and one cluster may take from a relay. docs/spec/relay.md §3. */
import type { Rate } from "./token-bucket.js";

/** Limits of a relay. */
export interface RelayLimits {
  /** Sockets that have not been admitted yet; at least 1. One more closes the oldest of them. */
  readonly maxAwaiting: number;
  readonly admissionTimeoutMs: number;
  readonly maxHubsPerCluster: number;
  readonly maxGuestsPerCluster: number;
  /** Forwarded but unacknowledged bytes per destination. */
  readonly creditBytes: number;
  /** The same over all destinations of a cluster, less the first 64 KiB of each: with 128 destinations 24 MiB in all. */
  readonly clusterCreditBytes: number;
  /** A destination without credit that acknowledges nothing for this long is closed. */
  readonly slowReaderMs: number;
  readonly socketMessages: Rate;
  readonly socketBytes: Rate;
  readonly clusterMessages: Rate;
  readonly clusterBytes: Rate;
}

/** Limits for a relay that is a process of its own. */
export const defaultRelayLimits: RelayLimits = {
  maxAwaiting: 256,
  admissionTimeoutMs: 5_000,
  maxHubsPerCluster: 64,
  maxGuestsPerCluster: 64,
  creditBytes: 1_048_576,
  clusterCreditBytes: 16 * 1_048_576,
  slowReaderMs: 10_000,
  socketMessages: { perSecond: 4_000, burst: 8_000 },
  socketBytes: { perSecond: 32 * 1_048_576, burst: 64 * 1_048_576 },
  clusterMessages: { perSecond: 16_000, burst: 32_000 },
  clusterBytes: { perSecond: 64 * 1_048_576, burst: 128 * 1_048_576 },
};
