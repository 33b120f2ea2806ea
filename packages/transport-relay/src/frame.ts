/**
 * Outer frames: what a hub and a relay say to each other. docs/spec/relay.md §1.
 *
 * `type u8 | flags u8 (zero) | route id, 16 bytes, where the type has one | payload`. One frame per binary WebSocket message.
 */
import { RelayError } from "./errors.js";

/** Bytes of a route id. */
export const routeIdBytes = 16;
/** Bytes before the payload of a frame without and with a route id. */
export const frameHeaderBytes = 2;
export const routedHeaderBytes = frameHeaderBytes + routeIdBytes;
/** Largest WebSocket message either side sends. */
export const maxFrameBytes = 1_048_576;

/**
 * The keepalive is a text message, not a frame: a Durable Object answers a fixed text without waking up.
 * The hub sends `ping`, whatever hosts the relay answers `pong`.
 */
export const keepalive = { ping: "p", pong: "q" } as const;

/** Frame types. */
export const frameType = {
  hello: 0x01,
  challenge: 0x02,
  proof: 0x03,
  welcome: 0x04,
  send: 0x10,
  recv: 0x11,
  ack: 0x12,
  peer: 0x13,
  noRoute: 0x14,
  reset: 0x15,
  rate: 0x16,
  restarting: 0x17,
} as const;

/** Why a relay dropped a SEND. */
export const resetReason = { busy: 1, rate: 2 } as const;

/** One frame, decoded. Byte arrays are views into the message. */
export type Frame =
  | { readonly type: "hello"; readonly token: Uint8Array }
  | { readonly type: "challenge"; readonly challenge: Uint8Array }
  | { readonly type: "proof"; readonly signature: Uint8Array }
  | { readonly type: "welcome"; readonly creditBytes: number }
  | { readonly type: "send" | "recv"; readonly route: Uint8Array; readonly payload: Uint8Array }
  | { readonly type: "ack"; readonly processedBytes: number }
  | { readonly type: "peer"; readonly route: Uint8Array; readonly present: boolean }
  | { readonly type: "noRoute"; readonly route: Uint8Array }
  | { readonly type: "reset"; readonly route: Uint8Array; readonly reason: number }
  | { readonly type: "rate"; readonly waitMs: number }
  | { readonly type: "restarting"; readonly reconnectInMs: number; readonly tryForMs: number };

/** The bytes of `frame`. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case "hello":
      return plain(frameType.hello, frame.token);
    case "challenge":
      return plain(frameType.challenge, frame.challenge);
    case "proof":
      return plain(frameType.proof, frame.signature);
    case "welcome":
      return plain(frameType.welcome, u32(frame.creditBytes));
    case "send":
    case "recv":
      return routed(frameType[frame.type], frame.route, frame.payload);
    case "ack": {
      const body = new Uint8Array(8);
      new DataView(body.buffer).setBigUint64(0, BigInt(frame.processedBytes));
      return plain(frameType.ack, body);
    }
    case "peer":
      return routed(frameType.peer, frame.route, Uint8Array.of(frame.present ? 1 : 0));
    case "noRoute":
      return routed(frameType.noRoute, frame.route, new Uint8Array(0));
    case "reset":
      return routed(frameType.reset, frame.route, Uint8Array.of(frame.reason));
    case "rate":
      return plain(frameType.rate, u32(frame.waitMs));
    case "restarting":
      return plain(frameType.restarting, u32(frame.reconnectInMs, frame.tryForMs));
  }
}

/**
 * The RECV with which a SEND goes on, from `source`; its bytes are the SEND's but for these. A copy: forwarding the message itself would
 * keep the whole chunk it was read in, for as long as one slow reader lets it wait.
 */
export function recvFrame(send: Uint8Array, source: Uint8Array): Uint8Array {
  const out = new Uint8Array(send);
  out[0] = frameType.recv;
  out.set(source, frameHeaderBytes);
  return out;
}

/** A route id as the key of a map: 8 characters of 16 bits, which costs a tenth of any readable form. */
export function routeKey(route: Uint8Array): string {
  const at = (i: number) => (route[i]! << 8) | route[i + 1]!;
  return String.fromCharCode(at(0), at(2), at(4), at(6), at(8), at(10), at(12), at(14));
}

/**
 * The frame in one WebSocket message.
 * @throws {RelayError} FRAME_TOO_LARGE above {@link maxFrameBytes}; FRAME_MALFORMED for an unknown type, a flag, or a wrong length.
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length > maxFrameBytes) {
    throw new RelayError({ code: "FRAME_TOO_LARGE", message: `A frame of ${bytes.length} bytes.` });
  }
  if (bytes.length < frameHeaderBytes || bytes[1] !== 0) throw malformed();
  const type = bytes[0];
  const body = bytes.subarray(frameHeaderBytes);
  switch (type) {
    case frameType.hello:
      return { type: "hello", token: body };
    case frameType.challenge:
      return { type: "challenge", challenge: exactly(body, 32) };
    case frameType.proof:
      return { type: "proof", signature: exactly(body, 64) };
    case frameType.welcome:
      return { type: "welcome", creditBytes: view(exactly(body, 4)).getUint32(0) };
    case frameType.ack:
      return { type: "ack", processedBytes: readCount(exactly(body, 8)) };
    case frameType.rate:
      return { type: "rate", waitMs: view(exactly(body, 4)).getUint32(0) };
    case frameType.restarting: {
      const fields = view(exactly(body, 8));
      return { type: "restarting", reconnectInMs: fields.getUint32(0), tryForMs: fields.getUint32(4) };
    }
  }
  if (body.length < routeIdBytes) throw malformed();
  const route = body.subarray(0, routeIdBytes);
  const payload = body.subarray(routeIdBytes);
  switch (type) {
    case frameType.send:
    case frameType.recv:
      if (payload.length === 0) throw malformed();
      return { type: type === frameType.send ? "send" : "recv", route, payload };
    case frameType.peer: {
      const flag = exactly(payload, 1)[0]!;
      if (flag > 1) throw malformed();
      return { type: "peer", route, present: flag === 1 };
    }
    case frameType.noRoute:
      exactly(payload, 0);
      return { type: "noRoute", route };
    case frameType.reset:
      return { type: "reset", route, reason: exactly(payload, 1)[0]! };
    default:
      throw malformed();
  }
}

function plain(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(frameHeaderBytes + body.length);
  out[0] = type;
  out.set(body, frameHeaderBytes);
  return out;
}

function routed(type: number, route: Uint8Array, payload: Uint8Array): Uint8Array {
  const out = new Uint8Array(routedHeaderBytes + payload.length);
  out[0] = type;
  out.set(exactly(route, routeIdBytes), frameHeaderBytes);
  out.set(payload, routedHeaderBytes);
  return out;
}

function u32(...values: number[]): Uint8Array {
  const out = new Uint8Array(4 * values.length);
  values.forEach((value, i) => {
    view(out).setUint32(4 * i, value);
  });
  return out;
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readCount(bytes: Uint8Array): number {
  const value = view(bytes).getBigUint64(0);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw malformed();
  return Number(value);
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw malformed();
  return bytes;
}

function malformed(): RelayError {
  return new RelayError({ code: "FRAME_MALFORMED", message: "Not a relay frame." });
}
