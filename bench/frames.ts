/** Messages in a stream of bytes: four bytes of length, big-endian, before each. */

const headerBytes = 4;

/** Cuts what arrives into messages. Returns what takes a piece, however it was cut on the way. */
export function cutFrames(received: (frame: Buffer) => void): (chunk: Buffer) => void {
  let buffered: Buffer = Buffer.alloc(0);
  return (chunk) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    let offset = 0;
    while (buffered.length - offset >= headerBytes) {
      const end = offset + headerBytes + buffered.readUInt32BE(offset);
      if (end > buffered.length) break;
      received(buffered.subarray(offset + headerBytes, end));
      offset = end;
    }
    buffered = buffered.subarray(offset);
  };
}

/** A message behind its length. */
export function prefixed(frame: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(headerBytes + frame.length);
  whole.writeUInt32BE(frame.length);
  whole.set(frame, headerBytes);
  return whole;
}
