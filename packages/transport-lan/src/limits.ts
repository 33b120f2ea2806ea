/** Every bound of this room in one place. */

/** Limits of a LAN transport. Counts, bytes and milliseconds as the names say. */
export interface LanLimits {
  /**
   * Largest message, bytes, 1024..2^32-1; the smaller of both sides' values holds. Default 65 546, the longest that a session
   * sends: four bytes of a peer's make this hub take so much memory.
   */
  readonly maxMessageBytes: number;
  /** From the first byte to both verdicts; also the whole of a dial. Default 5 s. */
  readonly handshakeTimeoutMs: number;
  /** Accepted sockets that have not finished their handshake. Default 32. */
  readonly maxPending: number;
  /** The same per source address. Loopback, where many hubs share one address, has only `maxPending`. Default 4. */
  readonly maxPendingPerSource: number;
  /** Sockets accepted per second, also the burst. Default 64. */
  readonly maxAcceptsPerSecond: number;
  /** The same per source address, loopback apart. Default 16. */
  readonly maxAcceptsPerSourcePerSecond: number;
  /** Guests connected at once. Default 4. */
  readonly maxGuests: number;
  /** A guest's connection is ended after this. Default 60 s. */
  readonly guestLifetimeMs: number;
  /** send() answers false from here on. Default 1 MiB. */
  readonly sendHighWaterBytes: number;
  /** drained() resolves here. Default 256 KiB. */
  readonly sendLowWaterBytes: number;
  /** A sender that ignores send()'s answer loses the connection here. Default 64 MiB. */
  readonly maxQueuedBytes: number;
}

export const defaultLimits: LanLimits = {
  maxMessageBytes: 65_546,
  handshakeTimeoutMs: 5_000,
  maxPending: 32,
  maxPendingPerSource: 4,
  maxAcceptsPerSecond: 64,
  maxAcceptsPerSourcePerSecond: 16,
  maxGuests: 4,
  guestLifetimeMs: 60_000,
  sendHighWaterBytes: 1_048_576,
  sendLowWaterBytes: 262_144,
  maxQueuedBytes: 67_108_864,
};

/** Largest message a guest may send or receive, bytes: somebody unknown gets little memory. */
export const maxGuestMessageBytes = 65_536;

/** Guests admitted per second, and how many at once after a quiet while. */
export const guestsPerSecond = 1;
export const guestBurst = 8;

/** How long a refused socket may take to hear why before it is destroyed. */
export const refuseLingerMs = 2_000;

/** How long a closed connection may take to send what is queued and to see the peer's end. */
export const closeLingerMs = 10_000;
