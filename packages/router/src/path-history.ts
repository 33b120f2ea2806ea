/** What became of the paths to each hub lately: the answer to "why is it on the relay?". */
import type { HubId } from "@fed/core";
import { limits } from "./limits.js";

/** Something that happened to a path. */
export interface PathEvent {
  /** Unix milliseconds. */
  readonly atMs: number;
  readonly transport: string;
  /**
   * `confirmed` it works; `suspect` it does not answer; `recovered` it answers again; `lost` its connection is over;
   * `chosen` calls take it from now on.
   */
  readonly event: "confirmed" | "suspect" | "recovered" | "lost" | "chosen";
  /** One line for people. */
  readonly why: string;
}

/** The last events of one hub, oldest first. */
export class PathHistory {
  #events: PathEvent[] = [];

  get events(): readonly PathEvent[] {
    return this.#events;
  }

  add(event: PathEvent): void {
    this.#events = [...this.#events.slice(1 - limits.pathEvents), event];
  }

  /**
   * How often in a row `transport` was lost or in doubt, with no calm of a minute between. What is lost while it is in doubt
   * has failed once.
   */
  failures(transport: string, nowMs: number): number {
    let count = 0;
    let laterMs = nowMs;
    let isLost = false;
    for (const { atMs, event, transport: its } of this.#events.toReversed()) {
      if (its !== transport || event === "chosen") continue;
      const isSame = isLost && event === "suspect";
      isLost = event === "lost";
      if (event !== "suspect" && event !== "lost") continue;
      if (laterMs - atMs > limits.calmMs) break;
      laterMs = atMs;
      if (!isSame) count++;
    }
    return count;
  }
}

/** The histories of all hubs that had a path. They outlive sessions; the hub that had none for longest goes first. */
export class PathHistories {
  readonly #histories = new Map<HubId, PathHistory>();

  of(hubId: HubId): PathHistory {
    const history = this.#histories.get(hubId) ?? new PathHistory();
    this.#histories.delete(hubId);
    this.#histories.set(hubId, history);
    if (this.#histories.size > limits.members) {
      for (const oldest of this.#histories.keys()) {
        this.#histories.delete(oldest);
        break;
      }
    }
    return history;
  }

  /** What is known of `hubId`, oldest first. */
  events(hubId: HubId): readonly PathEvent[] {
    return this.#histories.get(hubId)?.events ?? [];
  }
}
