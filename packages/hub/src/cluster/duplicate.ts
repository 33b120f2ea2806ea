/**
 * Whether another process runs from a copy of this hub's state. A peer counts the newest process of a hub and tells the one
 * before it `HUB_DUPLICATE`. One member's word must not stop a hub that others may count, so it leaves once more than half of
 * the other members have said so, connected now or not; in a cluster of two that is the one other.
 */
import { type FedError, type HubId, toFedError } from "@fed/core";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import type { Logger } from "../options.js";

/** What a {@link DuplicateWatch} is made from. */
export interface DuplicateWatchOptions {
  /** The other members of the manifest in force that are not revoked. */
  members(): readonly HubId[];
  /** Leaves every network, as {@link DuplicateWatch.stopped} says from now on. Called once, at most. */
  leave(): Promise<void>;
  readonly audit: Pick<AuditTrail, "note">;
  readonly log: Logger;
}

/** See the module header. */
export class DuplicateWatch {
  readonly #options: DuplicateWatchOptions;
  readonly #displacing = new Set<HubId>();
  #stopped: FedError | undefined;
  #closed = false;

  constructor(options: DuplicateWatchOptions) {
    this.#options = options;
  }

  /** Why this process federates no more, if so. */
  get stopped(): FedError | undefined {
    return this.#stopped;
  }

  /** `member` says that it counts another process with this hub's id. */
  displacedBy(member: HubId): void {
    this.#displacing.add(member);
    this.weigh();
  }

  /** `member` counts this process: what it said before is over. */
  countedBy(member: HubId): void {
    this.#displacing.delete(member);
  }

  /** Who is a member may have changed: the word of one that is none any more does not count. */
  weigh(): void {
    const { members, audit, log } = this.#options;
    if (this.#stopped || this.#closed || this.#displacing.size === 0) return;
    const others = new Set(members());
    for (const member of this.#displacing) if (!others.has(member)) this.#displacing.delete(member);
    if (this.#displacing.size * 2 <= others.size) return;
    const error = duplicateError();
    this.#stopped = error;
    log.warn({ code: error.code, hint: error.hint }, error.message);
    audit.note({ type: "federation.stopped", code: error.code });
    void this.#leave();
  }

  /** The hub closes: from here on nothing is weighed, and nothing left. */
  close(): void {
    this.#closed = true;
  }

  async #leave(): Promise<void> {
    const { leave, log } = this.#options;
    // It was a session that said so; let that one end first.
    await Promise.resolve();
    if (this.#closed) return;
    try {
      await leave();
    } catch (cause) {
      log.warn({ code: toFedError(cause).code }, "the networks could not be left");
    }
  }
}

function duplicateError(): HubError {
  return new HubError({
    code: "HUB_DUPLICATE",
    message: "Another process with this hub's identity has come since; this one has left the cluster's networks.",
    hint: "One hub runs from one state directory: stop the copy and let it join with a directory of its own, then restart this hub.",
  });
}
