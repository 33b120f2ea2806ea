/**
 * Whether another process runs from a copy of this hub's state. A peer counts the newest process of a hub and tells the one
 * before it `HUB_DUPLICATE`. A single peer's word must not stop a hub, so it leaves when no majority of its peers is left.
 */
import { type FedError, type HubId, toFedError } from "@fed/core";
import type { AuditTrail } from "../audit-trail.js";
import { HubError } from "../errors.js";
import type { Logger } from "../options.js";

/** What a {@link DuplicateWatch} is made from. */
export interface DuplicateWatchOptions {
  /** Peers with a connection now. */
  connected(): readonly { readonly hubId: HubId }[];
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

  constructor(options: DuplicateWatchOptions) {
    this.#options = options;
  }

  /** Why this process federates no more, if so. */
  get stopped(): FedError | undefined {
    return this.#stopped;
  }

  /** `peer` says that it counts another process with this hub's id. */
  displacedBy(peer: HubId): void {
    this.#displacing.add(peer);
    this.weigh();
  }

  /** Who is connected has changed. */
  weigh(): void {
    const { connected, audit, log } = this.#options;
    if (this.#stopped || this.#displacing.size === 0) return;
    const others = connected().filter(({ hubId }) => !this.#displacing.has(hubId));
    if (others.length >= this.#displacing.size) return;
    const error = duplicateError();
    this.#stopped = error;
    log.warn({ code: error.code, hint: error.hint }, error.message);
    audit.note({ type: "federation.stopped", code: error.code });
    void this.#leave();
  }

  async #leave(): Promise<void> {
    const { leave, log } = this.#options;
    // It was a session that said so; let that one end first.
    await Promise.resolve();
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
