/** Server-sent events of the running hub's API. */
import { isFedError } from "@fed/core";
import type { RunFile } from "@fed/hub";
import { failureOf } from "./hub-client.js";
import { CliError } from "./output.js";

/** One event: its name and the JSON it came with. */
export interface StreamedEvent {
  readonly name: string;
  readonly data: unknown;
}

const maxEventChars = 1024 * 1024;

/**
 * The events of `path`, until `signal` aborts.
 * @throws {FedError} with the hub's own code. @throws {CliError} HUB_UNREACHABLE when the hub went away.
 */
export async function* openEventStream(run: RunFile, path: string, signal: AbortSignal): AsyncGenerator<StreamedEvent> {
  try {
    const response = await fetch(`${run.url}/api/federation${path}`, {
      headers: { authorization: `Bearer ${run.token}`, accept: "text/event-stream" },
      signal,
    });
    if (!response.ok || !response.body) throw failureOf(response, await response.text());
    let text = "";
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      if (text.length > maxEventChars) throw new RangeError("an event without end");
      const events = text.split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(event) ?? [];
        if (name !== undefined) yield { name, data: JSON.parse(data!) };
      }
    }
  } catch (cause) {
    if (signal.aborted) return;
    throw isFedError(cause) ? cause : ended(cause);
  }
  throw ended();
}

function ended(cause?: unknown): CliError {
  return new CliError({ code: "HUB_UNREACHABLE", message: "The hub went away.", hint: "See `fed doctor`.", cause });
}
