/**
 * The segment that is being appended to. A file that grows with each durable write makes the disk write two things, the data and
 * the new length, and most file systems a third: so once the log is in use, zeros are written ahead, and what is appended
 * takes their place. They are no part of the segment: whoever reads it is not shown them.
 */
import type { FileHandle } from "node:fs/promises";

/** What is written ahead: as much as has been appended, between these. */
const minRoomBytes = 64 * 1024;
const maxRoomBytes = 1024 * 1024;
/** Fewer zeros at the end of a file are taken for data: no record ends in as many. */
const zeroRunBytes = 32;
const chunkBytes = 64 * 1024;

/** See the module header. One append at a time. */
export class SegmentFile {
  readonly #file: FileHandle;
  /** Where the next bytes go. */
  #end: number;
  /** With the zeros. */
  #size: number;
  #appended = 0;
  #makingRoom: Promise<void> | undefined;

  private constructor(file: FileHandle, end: number, size: number) {
    this.#file = file;
    this.#end = end;
    this.#size = size;
  }

  /** Goes on behind what is in `file`, which is open for reading and writing. */
  static async open(file: FileHandle): Promise<SegmentFile> {
    const { size } = await file.stat();
    return new SegmentFile(file, await endOfData(file, size), size);
  }

  /** Adds `bytes`; durable when the file writes through. */
  async append(bytes: Uint8Array): Promise<void> {
    const end = this.#end + bytes.length;
    // Zeros must not land on what is written meanwhile.
    if (end > this.#size) await this.#makingRoom;
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, this.#end + done);
      done += bytesWritten;
    }
    this.#end = end;
    this.#size = Math.max(this.#size, end);
    this.#appended += bytes.length;
    const roomBytes = this.#size - end;
    if (roomBytes > 0 && roomBytes < zeroRunBytes) await this.#cut();
    if (roomBytes < maxRoomBytes / 2 && this.#appended >= minRoomBytes) this.#makingRoom ??= this.#makeRoom();
  }

  /** What `fdatasync` does. */
  sync(): Promise<void> {
    return this.#file.datasync();
  }

  /** Closes it without the zeros. */
  async close(): Promise<void> {
    await this.#makingRoom;
    try {
      if (this.#size > this.#end) await this.#cut();
    } finally {
      await this.#file.close();
    }
  }

  /** Closes it as it is. */
  async abandon(): Promise<void> {
    await this.#makingRoom;
    await this.#file.close();
  }

  async #cut(): Promise<void> {
    await this.#makingRoom;
    await this.#file.truncate(this.#end);
    this.#size = this.#end;
  }

  /** Where it fails, appending goes on without, and fails by itself if it must. */
  async #makeRoom(): Promise<void> {
    const zeros = new Uint8Array(Math.min(this.#appended, maxRoomBytes));
    try {
      const { bytesWritten } = await this.#file.write(zeros, 0, zeros.length, this.#size);
      this.#size += bytesWritten;
    } catch {
      // No room, then.
    } finally {
      this.#makingRoom = undefined;
    }
  }
}

/** Where the data of a file of `size` bytes ends, and zeros that were written ahead begin. */
export async function endOfData(file: FileHandle, size: number): Promise<number> {
  const chunk = new Uint8Array(chunkBytes);
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - chunkBytes);
    const { bytesRead } = await file.read(chunk, 0, end - start, start);
    let last = bytesRead;
    while (last > 0 && chunk[last - 1] === 0) last--;
    end = start + last;
    if (last > 0 || bytesRead === 0) break;
  }
  return size - end >= zeroRunBytes ? end : size;
}
