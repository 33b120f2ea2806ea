/** The tap as server-sent events, bounded for a reader that is slower than the calls: it is told how many it has missed. */
import type { Clock, Timer } from "@fed/core";
import type { Standing } from "../operators/open-exchanges.js";
import type { Tap, TapEvent, TapOptions } from "../telemetry/tap.js";

const maxWaiting = 1000;
const maxWaitingChars = 1024 * 1024;
/** Shows the reader that the hub is there. */
const beatMs = 15_000;

/** Options of {@link openTapStream}. */
export interface TapStreamOptions extends TapOptions {
  readonly clock: Clock;
  /** The reader's claim to look; the stream closes it. */
  readonly standing: Standing;
  /** The stream has ended, whoever ended it. */
  readonly onEnd: () => void;
}

/** UTF-8 of `text/event-stream`: each event has the name of the {@link TapEvent} and its JSON; `refused` ends the stream. */
export function openTapStream(tap: Tap, options: TapStreamOptions): ReadableStream<Uint8Array> {
  const { clock, standing, onEnd, ...wanted } = options;
  const encoder = new TextEncoder();
  const waiting: string[] = [];
  let waitingChars = 0;
  let lost = 0;
  let wake: (() => void) | undefined;
  let ended = false;
  let timer: Timer = clock.setTimer(beatMs, beat);

  const untap = tap((event) => {
    const text = frame(event.event, event);
    if (waiting.length >= maxWaiting || waitingChars + text.length > maxWaitingChars) {
      lost++;
      return;
    }
    if (lost > 0) tellLost();
    push(text);
  }, wanted);

  function push(text: string): void {
    waiting.push(text);
    waitingChars += text.length;
    wake?.();
  }

  function tellLost(): void {
    const event: TapEvent = { event: "lost", events: lost };
    lost = 0;
    push(frame(event.event, event));
  }

  function beat(): void {
    if (waiting.length === 0) push(": \n\n");
    timer = clock.setTimer(beatMs, beat);
  }

  function end(): void {
    if (ended) return;
    ended = true;
    timer.cancel();
    untap();
    standing.close();
    waiting.length = 0;
    wake?.();
    onEnd();
  }

  let sink!: ReadableStreamDefaultController<Uint8Array>;
  const stream = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        // The headers go out with the first bytes.
        controller.enqueue(encoder.encode(": \n\n"));
        sink = controller;
      },
      async pull(controller) {
        while (waiting.length === 0 && !ended) {
          if (lost > 0) {
            tellLost();
            break;
          }
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        wake = undefined;
        if (ended) return;
        const text = waiting.splice(0).join("");
        waitingChars = 0;
        controller.enqueue(encoder.encode(text));
      },
      cancel: end,
    },
    { highWaterMark: 1 },
  );
  standing.onEnd(({ code, message, hint }) => {
    // What it has not taken by now it does not see.
    end();
    sink.enqueue(encoder.encode(frame("refused", { code, message, hint })));
    sink.close();
  });
  return stream;
}

function frame(name: string, data: object): string {
  return `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`;
}
