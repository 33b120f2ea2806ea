/** How a session takes its leave: docs/spec/session.md §4 and §8. GOAWAY first, so that calls go elsewhere; the end later. */
import type { Clock, FedError, Timer } from "@fed/core";
import { goingAwayError } from "./errors.js";
import { FRAME_GOAWAY } from "./frame.js";
import type { Outbox } from "./outbox.js";
import { encodeGoAway } from "./reason.js";
import type { StreamTable } from "./stream-table.js";

/** How long streams may go on in a session that is left. Shorter than calls wait for a new one. */
const LEAVE_AFTER_MS = 3_000;

/** What a {@link GoingAway} is made from. */
export interface GoingAwayOptions {
  readonly clock: Clock;
  readonly streams: StreamTable;
  readonly outbox: Outbox;
  /** The session has been left. */
  end(error: FedError): void;
}

/** Which side of a session goes away. */
export class GoingAway {
  /** The peer hears that its streams are not taken any more. */
  announced = false;
  readonly #options: GoingAwayOptions;
  /** Why the peer takes no more streams. */
  #peer: FedError | undefined;
  /** Why this side ends the session soon. */
  #leaving: FedError | undefined;
  #timer: Timer | undefined;

  constructor(options: GoingAwayOptions) {
    this.#options = options;
  }

  /** Why no stream can be opened, if so. */
  get refusal(): FedError | undefined {
    const cause = this.#peer ?? this.#leaving;
    return cause || this.#options.streams.exhausted ? goingAwayError(cause) : undefined;
  }

  announce(error: FedError): void {
    if (this.announced) return;
    this.announced = true;
    const { outbox, streams } = this.#options;
    outbox.send(FRAME_GOAWAY, 0, 0, encodeGoAway(streams.lastPeerId, error));
  }

  /** No stream is taken or opened any more, and the session ends soon: a new one can take its place. */
  leave(error: FedError): void {
    this.#leaving = error;
    this.announce(error);
    this.#timer = this.#options.clock.setTimer(LEAVE_AFTER_MS, () => this.#options.end(error));
    this.streamEnded();
  }

  /** There is one stream less. */
  streamEnded(): void {
    if (this.#leaving && this.#options.streams.empty) this.#options.end(this.#leaving);
  }

  /** The peer's GOAWAY: it takes none of this side's streams above `lastId`. Returns whether that is news. */
  take(lastId: number, reason: FedError): boolean {
    if (this.#peer) return false;
    this.#peer = reason;
    for (const stream of this.#options.streams.all()) {
      if (!stream.incoming && stream.id > lastId) stream.fail(goingAwayError(reason), false);
    }
    return true;
  }

  stop(): void {
    this.#timer?.cancel();
  }
}
