/** Reasons in RESET, STOP and GOAWAY: docs/spec/session.md §4. An error report as compact UTF-8 JSON. */
import { encodeUtf8, type FedError, type Json, PeerError, parseJson, readErrorReport, reportError } from "@fed/core";
import { SessionError } from "./errors.js";
import { MAX_REASON_BYTES, writeU32 } from "./frame.js";

/** The bytes that tell the peer about `error`, at most {@link MAX_REASON_BYTES}; none where there is no error. */
export function encodeReason(error: FedError | undefined): Uint8Array {
  return error ? encodeUtf8(JSON.stringify(reportError(error))) : new Uint8Array(0);
}

/** The body of GOAWAY: `lastId` is the last stream of the peer that was taken. */
export function encodeGoAway(lastId: number, error: FedError): Uint8Array {
  const reason = encodeReason(error);
  const body = new Uint8Array(4 + reason.length);
  writeU32(body, 0, lastId);
  body.set(reason, 4);
  return body;
}

/** @throws {SessionError} FRAME_MALFORMED unless `bytes` are a reason. */
export function decodeReason(bytes: Uint8Array): PeerError {
  let value: Json;
  try {
    value = parseJson(bytes, { maxBytes: MAX_REASON_BYTES });
  } catch (cause) {
    throw malformedReason(cause);
  }
  const report = readErrorReport(value);
  if (!report) throw malformedReason();
  return new PeerError(report);
}

function malformedReason(cause?: unknown): SessionError {
  return new SessionError({ code: "FRAME_MALFORMED", message: "A reason is not in the expected form.", cause });
}
