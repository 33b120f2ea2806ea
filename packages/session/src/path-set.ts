/** The paths of one session: which of them send, and how long the session waits for one when there is none. */
import type { Clock, FedError, SessionPath, Timer } from "@fed/core";
import type { Outbox } from "./outbox.js";
import type { LivePath } from "./path.js";
import type { ResendBuffer } from "./resend-buffer.js";

/** How long a path that the peer has moved to is used after the peer was last heard there. */
const FOLLOW_MS = 10_000;
/** A path that brings nothing for so long, while another one does, is no longer used by the peer. */
const SILENT_MS = 1_000;

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
  /** Those that the owner wants. */
  #chosen: readonly SessionPath[] = [];
  /** One that the peer has moved to, for reasons that this side does not know yet. */
  #followed: LivePath | undefined;
  #following: Timer | undefined;
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
    if (this.#used.length === 0) this.#take();
  }

  /** A path is over. */
  remove(path: LivePath, error: FedError | undefined): void {
    const { clock, windowMs, expired } = this.#options;
    if (!this.#all.includes(path)) return;
    this.#all = this.#all.filter((other) => other !== path);
    if (this.#followed === path) this.#followed = undefined;
    if (this.#used.includes(path)) this.#take();
    if (this.#all.length > 0) return;
    if (windowMs === 0) expired(error);
    // Taking another one into use may have ended that as well, and its end has set the timer.
    else this.#timer ??= clock.setTimer(windowMs, () => expired(error));
  }

  /** Those of `paths` that live send from now on; without one, the oldest. */
  use(paths: readonly SessionPath[]): void {
    this.#chosen = paths;
    this.#take();
  }

  /** Sends over `path` as well for as long as the peer does: it may know of a fault on the others. */
  follow(path: LivePath): void {
    this.#followed = path;
    this.#following ??= this.#options.clock.setTimer(FOLLOW_MS, () => this.#unfollow());
    this.#take();
  }

  /** Frames come first over `path`, which is not used: the peer is followed, unless it sends over those in use as well. */
  heard(path: LivePath): void {
    if (this.#isAlone(path)) this.follow(path);
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
    this.#following?.cancel();
    const all = this.#all;
    this.#all = this.#used = [];
    for (const path of all) path.end(reason, error);
  }

  #unfollow(): void {
    const { clock } = this.#options;
    const path = this.#followed;
    // Two that follow each other would never end it: each hears the other's frames there, and now and then they come first.
    const restMs = path && this.#isAlone(path) ? path.heardAtMs + FOLLOW_MS - clock.monotonicMs() : 0;
    this.#following = restMs > 0 ? clock.setTimer(restMs, () => this.#unfollow()) : undefined;
    if (this.#following) return;
    this.#followed = undefined;
    this.#take();
  }

  /** Whether the peer sends over `path` and over none of those that this side would use anyway. */
  #isAlone(path: LivePath): boolean {
    return this.#used.every((used) => used === path || used.arrivedAtMs + SILENT_MS < path.heardAtMs);
  }

  #take(): void {
    const chosen = this.#all.filter((path) => this.#chosen.includes(path));
    chosen.sort((a, b) => this.#chosen.indexOf(a) - this.#chosen.indexOf(b));
    const used = chosen.length > 0 ? chosen : this.#all.slice(0, 1);
    if (this.#followed && !used.includes(this.#followed)) used.push(this.#followed);
    for (const path of this.#used) if (!used.includes(path)) path.rest();
    const [first] = used;
    if (first !== this.first) {
      this.#options.outbox.flight.restart(this.#options.resend.sequence);
      // It is in use already where the peer was followed there, who may have left it since.
      if (first && this.#used.includes(first)) first.tell();
    }
    this.#used = used;
    for (const path of used) path.begin();
    this.#transport = this.#used[0]?.transport ?? this.#transport;
    this.pump();
  }
}
