/** Every number of this room, in one place. */

export const limits = {
  /** A call's body and an app's result, bytes. */
  bodyBytes: 4 * 1024 * 1024,
  /** A stream header, bytes. */
  headerBytes: 40 * 1024,
  /** One compact JWS, characters. */
  tokenChars: 8 * 1024,
  /** Earlier hop proofs. */
  viaCount: 3,
  /** JSON nesting in bodies and results. */
  jsonDepth: 64,
  /** One notification, bytes. */
  notificationBytes: 64 * 1024,
  /** Notifications one call may bring. */
  notificationCount: 100_000,
  /** Notifications waiting for credit; above it those that tell of progress are dropped, any other ends the call. */
  notificationQueue: 256,
  /** An error answer's texts, characters. */
  errorText: { message: 1024, hint: 512 },
  /** An error answer's details, bytes of JSON. */
  errorDetailsBytes: 16 * 1024,
  /** A listing of one hub. */
  listBytes: 1024 * 1024,
  listApps: 512,
  titleChars: 256,
  descriptionChars: 2048,
  /** Listings of its own apps that a hub keeps for those who ask again, one per caller; bytes of their JSON, twice for searches. */
  ownListings: 256,
  ownListingBytes: 16 * 1024 * 1024,
  /** Tools listed of one app; the texts of each. */
  listTools: 256,
  toolNameChars: 256,
  toolDescriptionChars: 512,
  /** When a listing returns with what is known. A hub that took longer the last time is not waited for. */
  listDeadlineMs: 1_000,
  /** How long a hub may take to answer a question that others stopped waiting for. */
  listTimeoutMs: 10_000,
  /** After that a listing is asked for again while the known one is still shown. */
  listFreshMs: 30_000,
  /** After that it counts as stale, and whoever lists waits for a new one. */
  listStaleMs: 60_000,
  /** Questions sent in one turn of the event loop: each is signed. */
  listQuestions: 32,
  /** Questions to one hub on one authority, however often it says that something changed; how often this hub says so. */
  listRate: { perSecond: 1, burst: 4 },
  /** A listing that somebody looked at within this time is asked for again as soon as its hub says that it changed. */
  listWatchedMs: 60_000,
  /** Remembered listings, one per hub and authority; bytes of their JSON. */
  listings: 8192,
  listingBytes: 64 * 1024 * 1024,
  /** What changes here within this time is told at once. */
  announceDelayMs: 20,
  /** Entries of one page, of a list and of a search. */
  pageApps: { default: 100, most: 1000 },
  pageHits: { default: 50, most: 200 },
  cursorChars: 1024,
  queryChars: 256,
  queryWords: 16,
  /** Idempotency: entries and bytes of results, each per operator, per home hub and in all; life after the outcome. */
  outcomesPerOperator: 256,
  outcomesPerHub: 1024,
  outcomes: 4096,
  outcomeBytesPerOperator: 4 * 1024 * 1024,
  outcomeBytesPerHub: 16 * 1024 * 1024,
  outcomeBytes: 64 * 1024 * 1024,
  outcomeLifeMs: 600_000,
  /** How long a call may take whose deadline is renewed by progress. */
  callMs: 3_600_000,
  /** Calls in flight, each direction. */
  callsPerPeer: 256,
  calls: 2048,
  /** Bytes of the requests that are served, of one peer and of all; beyond them nothing new is taken. */
  requestBytesPerPeer: 64 * 1024 * 1024,
  requestBytes: 256 * 1024 * 1024,
  /**
   * Calls, subscriptions and listings that a peer may begin here. More than one peer brings over a LAN to two cores, so it
   * stops those that are refused as fast as they come, and leaves room for the others.
   */
  peerRate: { perSecond: 4000, burst: 20_000 },
  /** Subscriptions open, each direction. They last, so calls do not wait behind them. */
  listensPerPeer: 256,
  listens: 2048,
  /** Paths. */
  probeBytes: 16_374,
  probeTimeoutMs: 5_000,
  pingEveryMs: 1_000,
  /** So many times the last round trip, within bounds; where none is known, the longest. */
  pongTimeout: { roundTrips: 4, leastMs: 500, mostMs: 1_500 },
  missesToDeath: 3,
  /** A path that failed works for so long before it is preferred again; doubled with each failure less than `calmMs` ago. */
  holdFirstMs: 1_000,
  holdMaxMs: 8_000,
  calmMs: 60_000,
  /** Remembered of the paths to one hub. */
  pathEvents: 16,
  openingPerPeer: 4,
  /** Dialling. */
  dialTimeoutMs: 10_000,
  /** Over each transport: addresses that swallow every dial on one hold up none on another. */
  dialsAtOnce: 8,
  /** Of these at addresses that only discovery speaks for. */
  strangersAtOnce: 4,
  backoffFirstMs: 250,
  backoffMaxMs: 30_000,
  /**
   * The same at an address where the hub has been, while it is reached some other way: it lives, and what it was lost over may
   * work again at any time.
   */
  backoffReachedMs: 3_000,
  healthyAfterMs: 30_000,
  redialOnSightMs: 5_000,
  discovered: 256,
  members: 1024,
  addressesPerMember: 8,
  /**
   * How long a call waits at most: for a path of a session that has none now, for a dial, or, if it may be repeated, for
   * another session.
   */
  retryWaitMs: 5_000,
} as const;
