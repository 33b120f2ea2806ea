/** Frames of the in-memory session, one per connection message: type u8 | end u8 | stream u32 | body. */
import { CoreError, FedError, type FedErrorInit } from "../errors.js";
import { canonicalJson, parseJson } from "../json.js";

/** Frame types. */
export const Frame = {
  hello: 1,
  open: 2,
  data: 3,
  end: 4,
  credit: 5,
  reset: 6,
  ping: 7,
  pong: 8,
  goAway: 9,
  close: 10,
} as const;
export type Frame = (typeof Frame)[keyof typeof Frame];

/** Bytes before the body. */
export const headerBytes = 6;

/** One frame; `end` only means something for data. */
export function encodeFrame(type: Frame, id: number, body?: Uint8Array, end = false): Uint8Array {
  const bytes = new Uint8Array(headerBytes + (body?.length ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint8(0, type);
  view.setUint8(1, end ? 1 : 0);
  view.setUint32(2, id);
  if (body) bytes.set(body, headerBytes);
  return bytes;
}

/** @throws {CoreError} PROTOCOL_ERROR for what is no frame. The body is a view of `bytes`. */
export function decodeFrame(bytes: Uint8Array): { type: Frame; id: number; end: boolean; body: Uint8Array } {
  const type = bytes[0] as Frame;
  const body = bytes.subarray(headerBytes);
  const isFrame = bytes.length >= headerBytes && type >= Frame.hello && type <= Frame.close;
  if (!isFrame || (type === Frame.credit && body.length !== 4) || (type === Frame.hello && body.length !== 16)) {
    throw new CoreError({ code: "PROTOCOL_ERROR", message: "The peer sent what is no frame." });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { type, id: view.getUint32(2), end: view.getUint8(1) === 1, body };
}

/** What of an error crosses to the peer. */
export function encodeError({ code, message, hint, retryable }: FedError): Uint8Array {
  return canonicalJson({ code, message, hint, retryable });
}

/**
 * The error that {@link encodeError} described at the other end.
 * @throws {CoreError} PROTOCOL_ERROR or the codes of `parseJson` when it describes none.
 */
export function decodeError(body: Uint8Array): FedError {
  const fields = parseJson(body, { maxBytes: 16 * 1024, maxDepth: 1 }) as unknown as FedErrorInit<string> | null;
  if (typeof fields?.code !== "string" || typeof fields.message !== "string") {
    throw new CoreError({ code: "PROTOCOL_ERROR", message: "The peer sent what is no error." });
  }
  return new FedError(fields);
}
