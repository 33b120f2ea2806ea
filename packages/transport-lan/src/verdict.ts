/**
 * The one message each side sends after it has judged the other, before anything else. docs/spec/lan.md, "Verdict".
 * TLS 1.3 tells a client "connected" before the server has looked at its certificate; the verdict closes that gap.
 */
import {
  concatBytes,
  encodeUtf8,
  type FedError,
  type Json,
  PeerError,
  parseJson,
  readErrorReport,
  reportError,
} from "@fed/core";
import { LanError } from "./errors.js";

/** Largest verdict, bytes. */
export const maxVerdictBytes = 1_024;
/** Smallest `maxMessageBytes` a side may announce. */
export const minMessageBytes = 1_024;

const acceptType = 1;
const refuseType = 2;

/** What the other side decided. */
export type Verdict =
  | { readonly accepted: true; readonly maxMessageBytes: number }
  | { readonly accepted: false; readonly error: PeerError };

/** `01 | u32 maxMessageBytes`: five bytes. */
export function encodeAccept(maxMessageBytes: number): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = acceptType;
  new DataView(bytes.buffer).setUint32(1, maxMessageBytes);
  return bytes;
}

/** `02 | JSON {code, message, hint?, retryable?}`; texts that do not fit into {@link maxVerdictBytes} are left out. */
export function encodeRefuse(error: FedError): Uint8Array {
  const report = reportError(error);
  const full = encodeUtf8(JSON.stringify(report));
  const json =
    full.length < maxVerdictBytes
      ? full
      : encodeUtf8(JSON.stringify({ ...report, message: "Refused.", hint: undefined }));
  return concatBytes(Uint8Array.of(refuseType), json);
}

/**
 * The verdict in `bytes`; a refusal becomes the error that the other side named.
 * @throws {LanError} HANDSHAKE_MALFORMED for anything else.
 */
export function decodeVerdict(bytes: Uint8Array): Verdict {
  if (bytes.length === 5 && bytes[0] === acceptType) {
    const maxMessageBytes = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (maxMessageBytes < minMessageBytes) throw malformed();
    return { accepted: true, maxMessageBytes };
  }
  if (bytes[0] !== refuseType) throw malformed();
  return { accepted: false, error: parseRefusal(bytes.subarray(1)) };
}

function parseRefusal(json: Uint8Array): PeerError {
  let value: Json;
  try {
    value = parseJson(json, { maxBytes: maxVerdictBytes });
  } catch (cause) {
    throw malformed(cause);
  }
  const report = readErrorReport(value);
  if (!report) throw malformed();
  return new PeerError({ ...report, message: `The other hub refused: ${report.message}` });
}

function malformed(cause?: unknown): LanError {
  return new LanError({
    code: "HANDSHAKE_MALFORMED",
    message: "The other side did not send a verdict.",
    hint: "Something that is not a hub of this version may be listening there.",
    cause,
  });
}
