/** The paths of one session: which of them send, and how long the session waits for one when there is none. */
import type { Clock, FedError, SessionPath, Timer } from "@fed/core";
import type { Outbox } from "./outbox.js";
import type { LivePath } from "./path.js";
import type { ResendBuffer } from "./resend-buffer.js";

/** What a {@link PathSet} is made from. */
export interface PathSetOptions {
  readonly outbox: Outbox;
  readonly resend: ResendBuffer;
  readonly clock: Clock;
  /** How long the session waits for a path. 0: it ends with its last one. */
  readonly windowMs: number;
  /** No path came in time. `error` is what the last one ended with. */
  expired(error: FedError | undefined): void;
}

/** See the module header. */
export class PathSet {
  readonly #options: PathSetOptions;
  #all: LivePath[] = [];
  #used: LivePath[] = [];
  #transport = "";
  #timer: Timer | undefined;

  constructor(options: PathSetOptions) {
    this.#options = options;
  }

  /** Oldest first. */
  get all(): readonly LivePath[] {
    return this.#all;
  }

  /** The one that is preferred now. */
  get first(): LivePath | undefined {
    return this.#used[0];
  }

  /** That of the path that is preferred, or was last. */
  get transport(): string {
    return this.#transport;
  }

  add(path: LivePath): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#all = [...this.#all, path];
    if (this.#used.length === 0) this.#take([path]);
  }

  /** A path is over. */
  remove(path: LivePath, error: FedError | undefined): void {
    const { clock, windowMs, expired } = this.#options;
    if (!this.#all.includes(path)) return;
    this.#all = this.#all.filter((other) => other !== path);
    if (this.#used.includes(path)) this.use(this.#used);
    if (this.#all.length > 0) return;
    if (windowMs === 0) expired(error);
    else this.#timer = clock.setTimer(windowMs, () => expired(error));
  }

  /** Those of `paths` that live send from now on; without one, the oldest. */
  use(paths: readonly SessionPath[]): void {
    const wanted = paths.map((path) => this.#all.find((own) => own === path)).filter((path) => path !== undefined);
    this.#take(wanted.length > 0 ? [...new Set(wanted)] : this.#all.slice(0, 1));
  }

  /** Sends what may go now over every path in use. The slowest does not hold up the others. */
  pump(): void {
    const { outbox, resend } = this.#options;
    // Sending may end a path, and with it change which are used.
    for (const path of this.#used) path.catchUp();
    outbox.blocked = false;
    while (!resend.full && this.#used.some((path) => path.ready)) {
      if (!outbox.cut()) return;
      for (const path of this.#used) path.catchUp();
    }
    outbox.blocked = true;
  }

  /** Tells the peer what has been received. */
  acknowledge(): void {
    for (const path of this.#used) path.acknowledge();
  }

  /** The session is over. */
  end(reason: Uint8Array | undefined, error: FedError | undefined): void {
    this.#timer?.cancel();
    for (const path of this.#all) path.end(reason, error);
    this.#all = this.#used = [];
  }

  #take(paths: LivePath[]): void {
    for (const path of this.#used) if (!paths.includes(path)) path.rest();
    this.#used = paths;
    this.#transport = paths[0]?.transport ?? this.#transport;
    this.pump();
  }
}
