/**
 * Memory for records that wait for the disk, one block for many: memory of its own would cost more than all else that is done
 * with a record.
 */
const encoder = new TextEncoder();
const blockBytes = 64 * 1024;
/** What a UTF-16 code unit takes at most. */
const maxUtf8Bytes = 3;

/** See the module header. A block is let go of with the last record in it. */
export class RecordPool {
  #block = new Uint8Array(0);
  #used = 0;

  /** A copy of `record`; of a text, its UTF-8 bytes. */
  copy(record: Uint8Array | string): Uint8Array {
    const room = this.#room(typeof record === "string" ? record.length * maxUtf8Bytes : record.length);
    let length = record.length;
    if (typeof record === "string") length = encoder.encodeInto(record, room).written;
    else room.set(record);
    this.#used += length;
    return room.subarray(0, length);
  }

  /** At least `bytes` bytes that nobody has. */
  #room(bytes: number): Uint8Array {
    if (this.#used + bytes > this.#block.length) {
      this.#block = new Uint8Array(Math.max(blockBytes, bytes));
      this.#used = 0;
    }
    return this.#block.subarray(this.#used);
  }
}
