/** The pins of tools in the store: one record for each app of each hub, written a little later, many changes at once. */
import { type Clock, canonicalJson, type HubId, parseJson, type Store, type Timer } from "@fed/core";
import { z } from "zod";
import { HubError } from "../errors.js";

/** What is pinned of one app. */
export interface AppPins {
  /** The hash of each tool's accepted definition. */
  readonly accepted: Map<string, string>;
  /** Tools whose definition is another now, with its hash and when it was first seen. */
  readonly changed: Map<string, { readonly hash: string; readonly atMs: number }>;
  /** Nobody has seen all of its tools yet. */
  partial: boolean;
}

/** Options of {@link PinRecords}. */
export interface PinRecordsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** What is pinned now; undefined: nothing any more. */
  readonly pinsOf: (hubId: HubId, app: string) => AppPins | undefined;
  readonly onError: (error: unknown) => void;
}

const maxBytes = 8 * 1024 * 1024;
const writeDelayMs = 1_000;
const storeKey = "tool-pins";

const hash = z.string().length(43);
const record = z.object({
  accepted: z.array(z.tuple([z.string(), hash])),
  changed: z.array(z.tuple([z.string(), hash, z.number()])),
  partial: z.boolean(),
});

/** See the module header. */
export class PinRecords {
  readonly #options: PinRecordsOptions;
  readonly #unwritten = new Map<string, readonly [HubId, string]>();
  #writing: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;

  constructor(options: PinRecordsOptions) {
    this.#options = options;
  }

  /** What earlier runs have written. @throws {HubError} STATE_CORRUPT. */
  async load(): Promise<{ readonly hubId: HubId; readonly app: string; readonly pins: AppPins }[]> {
    const entries = await this.#options.store.list([storeKey]);
    return entries.map(({ key, value }) => ({ hubId: key[1]!, app: key[2]!, pins: parse(value) }));
  }

  /** Writes the pins of an app soon. */
  write(hubId: HubId, app: string): void {
    this.#unwritten.set(`${hubId} ${app}`, [hubId, app]);
    this.#timer ??= this.#options.clock.setTimer(writeDelayMs, () => {
      void this.flush().catch(this.#options.onError);
    });
  }

  /** Writes now what is not written yet; what cannot be is tried again with the next. */
  flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    const done = this.#writing.then(async () => {
      for (const [key, [hubId, app]] of this.#unwritten) {
        // Before it is read: what changes while it is written is written again.
        this.#unwritten.delete(key);
        try {
          await this.#save(hubId, app);
        } catch (cause) {
          this.#unwritten.set(key, [hubId, app]);
          throw cause;
        }
      }
    });
    this.#writing = done.catch(() => {});
    return done;
  }

  async #save(hubId: HubId, app: string): Promise<void> {
    const { store, pinsOf } = this.#options;
    const pins = pinsOf(hubId, app);
    const key = [storeKey, hubId, app];
    await (pins ? store.set(key, format(pins)) : store.delete(key));
  }
}

function format({ accepted, changed, partial }: AppPins): Uint8Array {
  return canonicalJson({
    accepted: [...accepted],
    changed: [...changed].map(([tool, seen]) => [tool, seen.hash, seen.atMs]),
    partial,
  });
}

function parse(value: Uint8Array): AppPins {
  try {
    const { accepted, changed, partial } = record.parse(parseJson(value, { maxBytes }));
    return {
      accepted: new Map(accepted),
      changed: new Map(changed.map(([tool, seen, atMs]) => [tool, { hash: seen, atMs }])),
      partial,
    };
  } catch (cause) {
    throw new HubError({
      code: "STATE_CORRUPT",
      message: "The definitions of tools that were accepted cannot be read.",
      cause,
    });
  }
}
