/**
 * What an app said of itself when it ran last, kept in the store: an app that starts on demand can be described without
 * being started, and is not asked again which era of MCP it speaks. It holds for the configuration that it ran with.
 */
import { decodeUtf8, encodeUtf8, type Store } from "@fed/core";
import { z } from "zod";
import type { Era } from "./connect-app.js";
import type { ToolDefinition } from "./tool-list.js";

const record = z.object({
  fingerprint: z.string(),
  era: z.enum(["legacy", "modern"]).optional(),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
});

/** What is known of one app. */
export interface KnownApp {
  readonly era?: Era | undefined;
  readonly tools?: readonly ToolDefinition[] | undefined;
}

interface Kept extends KnownApp {
  readonly fingerprint: string | undefined;
  readonly byName: ReadonlyMap<string, ToolDefinition>;
}

/** Apps that are configured no more are kept, up to this many in all. */
const maxKept = 512;

/** See the module header. */
export class KnownApps {
  readonly #store: Store;
  readonly #apps = new Map<string, Kept>();
  /** How often something else was learnt. */
  version = 0;
  #loading: Promise<void> | undefined;

  constructor(store: Store) {
    this.#store = store;
  }

  /** Reads what earlier runs left. Idempotent. */
  load(): Promise<void> {
    this.#loading ??= (async () => {
      for (const { key, value } of await this.#store.list(["app"])) {
        const kept = parse(value);
        if (kept && this.#apps.size < maxKept) this.#apps.set(key[1]!, kept);
        else await this.#store.delete(key);
      }
    })();
    return this.#loading;
  }

  /** What is known of `app` as it is configured now. */
  of(app: string, fingerprint: string | undefined): KnownApp {
    const kept = this.#apps.get(app);
    return kept && kept.fingerprint === fingerprint ? kept : {};
  }

  /** What is known of one of its tools. */
  tool(app: string, fingerprint: string | undefined, name: string): ToolDefinition | undefined {
    const kept = this.#apps.get(app);
    return kept?.fingerprint === fingerprint ? kept?.byName.get(name) : undefined;
  }

  /** Replaces what is known; durable once resolved. Of an in-process server nothing outlives the process. */
  async learn(app: string, fingerprint: string | undefined, known: KnownApp): Promise<void> {
    const before = this.#apps.get(app);
    const kept = keep(fingerprint, known);
    this.#apps.set(app, kept);
    this.version++;
    if (fingerprint === undefined) return;
    const text = format(kept);
    if (before && format(before) === text) return;
    await this.#store.set(["app", app], encodeUtf8(text));
  }
}

function keep(fingerprint: string | undefined, { era, tools }: KnownApp): Kept {
  return { fingerprint, era, tools, byName: new Map(tools?.map((tool) => [tool.name, tool])) };
}

function format({ fingerprint, era, tools }: Kept): string {
  return JSON.stringify({ fingerprint, era, tools });
}

function parse(value: Uint8Array): Kept | undefined {
  try {
    const { fingerprint, era, tools } = record.parse(JSON.parse(decodeUtf8(value)));
    return keep(fingerprint, { era, tools: tools as ToolDefinition[] | undefined });
  } catch {
    return undefined;
  }
}
