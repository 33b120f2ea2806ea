/** Counting what arrives, and when to say so: docs/spec/session.md §7. Frames are counted, not numbered on the wire. */
import type { Clock, Timer } from "@fed/core";

const ACK_AFTER_BYTES = 16 * 1024;
const ACK_AFTER_FRAMES = 256;
const ACK_AFTER_MS = 250;

/** Counts the sequenced frames taken from the peer. */
export class Acknowledger {
  /** Frames received, each once. */
  received = 0;
  readonly #clock: Clock;
  readonly #tell: () => void;
  #told = 0;
  #untoldBytes = 0;
  #timer: Timer | undefined;
  #stopped = false;

  /** `tell` is called when {@link received} ought to be acknowledged. */
  constructor(clock: Clock, tell: () => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** A sequenced frame of `bytes` bytes has arrived. One timer serves all frames of its 250 ms. */
  count(bytes: number): void {
    this.received++;
    this.#untoldBytes += bytes;
    if (this.#untoldBytes >= ACK_AFTER_BYTES || this.received - this.#told >= ACK_AFTER_FRAMES) this.#due();
    else if (!this.#timer && !this.#stopped) this.#timer = this.#clock.setTimer(ACK_AFTER_MS, () => this.#expire());
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #expire(): void {
    this.#timer = undefined;
    if (!this.#stopped && this.received > this.#told) this.#due();
  }

  #due(): void {
    this.#told = this.received;
    this.#untoldBytes = 0;
    this.#tell();
  }
}
