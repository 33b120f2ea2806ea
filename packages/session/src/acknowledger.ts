/** Counting what arrives, and when to say so: docs/spec/session.md §7. Frames are counted, not numbered on the wire. */
import type { Clock, Timer } from "@fed/core";
import { FULL_MESSAGE_BYTES } from "./frame.js";

/**
 * Enough to tell: that of a message which is full, and which its sender may be timing. But not more often than
 * each millisecond, since each acknowledgement is a write of its own.
 */
const ACK_AFTER_BYTES = FULL_MESSAGE_BYTES;
const ACK_EVERY_MS = 1;
/** Enough to tell at once. */
const ACK_AT_ONCE_BYTES = 128 * 1024;
const ACK_AT_ONCE_FRAMES = 256;
const ACK_AFTER_MS = 250;

/** Counts the sequenced frames taken from the peer. */
export class Acknowledger {
  /** Frames received, each once. */
  received = 0;
  readonly #clock: Clock;
  readonly #tell: () => void;
  #told = 0;
  #toldAtMs = 0;
  #untoldBytes = 0;
  /** For what is not enough yet. */
  #late: Timer | undefined;
  /** For what is, but came too soon. */
  #soon: Timer | undefined;
  #stopped = false;

  /** `tell` is called when {@link received} ought to be acknowledged. */
  constructor(clock: Clock, tell: () => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** A sequenced frame of `bytes` bytes has arrived. */
  count(bytes: number): void {
    this.received++;
    this.#untoldBytes += bytes;
    if (this.#stopped) return;
    if (this.#untoldBytes >= ACK_AT_ONCE_BYTES || this.received - this.#told >= ACK_AT_ONCE_FRAMES) this.#due();
    else if (this.#untoldBytes >= ACK_AFTER_BYTES) this.#dueSoon();
    // One timer serves all frames of its 250 ms.
    else this.#late ??= this.#clock.setTimer(ACK_AFTER_MS, () => this.#expire());
  }

  stop(): void {
    this.#stopped = true;
    this.#late?.cancel();
    this.#soon?.cancel();
  }

  #expire(): void {
    this.#late = undefined;
    if (this.received > this.#told) this.#due();
  }

  #dueSoon(): void {
    if (this.#soon) return;
    const restMs = this.#toldAtMs + ACK_EVERY_MS - this.#clock.monotonicMs();
    if (restMs <= 0) this.#due();
    else this.#soon = this.#clock.setTimer(restMs, () => this.#due());
  }

  #due(): void {
    this.#soon?.cancel();
    this.#soon = undefined;
    this.#told = this.received;
    this.#toldAtMs = this.#clock.monotonicMs();
    this.#untoldBytes = 0;
    this.#tell();
  }
}
