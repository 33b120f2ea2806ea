/** A bound on what an app may answer over HTTP: the whole of a document, or one event of a stream that goes on. */
import type { FedError } from "@fed/core";
import { maxMessageBytes, tooLarge } from "./result-bound.js";

/** `response` with a body that errors above 8 MiB; `onTooLarge` is told before. */
export function boundBody(response: Response, app: string, onTooLarge?: (error: FedError) => void): Response {
  const { body, status, statusText, headers } = response;
  const length = headers.get("content-length");
  // What is compressed has more bytes than it says.
  const known = length !== null && !headers.has("content-encoding") && Number(length) <= maxMessageBytes;
  if (!body || known) return response;
  const isStream = headers.get("content-type")?.includes("text/event-stream") === true;
  const count = isStream ? eventBytes() : totalBytes();
  const bounded = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const bytes = count(chunk);
        if (bytes <= maxMessageBytes) return controller.enqueue(chunk);
        const error = tooLarge(app, bytes);
        onTooLarge?.(error);
        controller.error(error);
      },
    }),
  );
  return new Response(bounded, { status, statusText, headers });
}

function totalBytes(): (chunk: Uint8Array) => number {
  let bytes = 0;
  return (chunk) => {
    bytes += chunk.length;
    return bytes;
  };
}

/** Bytes since the last empty line: an event ends with one. */
function eventBytes(): (chunk: Uint8Array) => number {
  let bytes = 0;
  let tail = Buffer.alloc(0);
  return (chunk) => {
    const seen = Buffer.concat([tail, chunk]);
    const end = Math.max(seen.lastIndexOf("\n\n"), seen.lastIndexOf("\r\n\r\n"), seen.lastIndexOf("\r\r"));
    bytes = end < 0 ? bytes + chunk.length : seen.length - end;
    tail = Buffer.from(seen.subarray(-3));
    return bytes;
  };
}
