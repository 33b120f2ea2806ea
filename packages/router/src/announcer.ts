/**
 * Telling peers that what this hub shows has changed, so that they need not ask to find out.
 *
 *     OPEN     {"k":"changed","v":1}      nothing follows, in neither direction
 *
 * Only who has listed since is told: nobody else holds anything that could be out of date.
 */
import { type Clock, encodeUtf8, type HubId, type Session, type Timer } from "@fed/core";
import { limits } from "./limits.js";
import { RateLimit } from "./rate-limit.js";

const changedHeader = encodeUtf8('{"k":"changed","v":1}');

/** What an {@link Announcer} is handed. */
export interface AnnouncerOptions {
  readonly clock: Clock;
  /** The session with a hub now. */
  session(hubId: HubId): Session | undefined;
}

/** See the module header. */
export class Announcer {
  readonly #options: AnnouncerOptions;
  /** Who has listed since it was last told. */
  readonly #listeners = new Set<HubId>();
  /** Who was to be told and could not be reached. */
  readonly #owed = new Set<HubId>();
  readonly #rate: RateLimit;
  #timer: Timer | undefined;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#rate = new RateLimit(limits.listRate, options.clock);
  }

  /** A peer is about to be shown what there is. */
  listed(hubId: HubId): void {
    this.#listeners.add(hubId);
  }

  /** Something changed. Many changes in a short time are told once, and no faster than peers ask. */
  changed(): void {
    this.#timer ??= this.#options.clock.setTimer(limits.announceDelayMs, () => this.#announce());
  }

  /** A peer is connected again. */
  reached(hubId: HubId): void {
    if (this.#owed.delete(hubId)) this.#tell(hubId);
  }

  /** Forgets a peer. */
  forget(hubId: HubId): void {
    this.#listeners.delete(hubId);
    this.#owed.delete(hubId);
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#listeners.clear();
    this.#owed.clear();
  }

  #announce(): void {
    if (!this.#rate.tryTake("")) {
      this.#timer = this.#options.clock.setTimer(1000 / limits.listRate.perSecond, () => this.#announce());
      return;
    }
    this.#timer = undefined;
    const hubs = [...this.#listeners];
    this.#listeners.clear();
    for (const hubId of hubs) this.#tell(hubId);
  }

  #tell(hubId: HubId): void {
    const session = this.#options.session(hubId);
    try {
      if (!session) {
        this.#owed.add(hubId);
        return;
      }
      const stream = session.open(changedHeader, { priority: "control" });
      stream.end();
      stream.receive().catch(() => {});
    } catch {
      // The session is going away; its end makes the peer ask again.
      this.#owed.add(hubId);
    }
  }
}
