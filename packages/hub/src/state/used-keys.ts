/** Idempotency keys that calls of this hub's apps were made under, in the store: a hub that starts again runs none of them twice. */
import {
  type Clock,
  canonicalJson,
  decodeHex,
  encodeBase64Url,
  encodeHex,
  encodeUtf8,
  parseJson,
  type Store,
  systemClock,
} from "@fed/core";
import { type KeyJournal, limits, type UsedKey } from "@fed/router";
import { sha256 } from "@fed/trust";
import { pause } from "../pause.js";

const folder = "used-key";
/** No call runs longer, and no key is remembered longer after it. */
const lifeMs = limits.callMs + limits.outcomeLifeMs;

type KeyName = Pick<UsedKey, "operator" | "name">;

/** The keys in `store`. */
export async function openUsedKeys(store: Store, clock: Clock): Promise<KeyJournal> {
  const keys = new Map<string, UsedKey>();
  const free = new Set<string>();
  let clearing = false;

  /** Each deletion waits for the disk, so others get their turn in between. */
  async function clear(): Promise<void> {
    if (clearing) return;
    clearing = true;
    try {
      for (const id of free) {
        await pause(systemClock, 0);
        if (!free.delete(id)) continue;
        await store.delete([folder, id]);
      }
    } catch {
      // The store is full, or closed: what is left in it is found too old at the next start.
    } finally {
      clearing = false;
    }
  }

  for (const { key, value } of await store.list([folder])) {
    const id = key[1]!;
    const { atMs, digest, ...rest } = parseJson(value, { maxBytes: 4096 }) as unknown as Stored;
    if (atMs + lifeMs > clock.nowMs()) keys.set(id, { ...rest, digest: decodeHex(digest) });
    else free.add(id);
  }
  void clear();

  return {
    known: () => [...keys.values()],
    async add(used) {
      const id = idOf(used);
      free.delete(id);
      keys.set(id, used);
      const stored: Stored = { ...used, digest: encodeHex(used.digest), atMs: clock.nowMs() };
      await store.set([folder, id], canonicalJson(stored));
    },
    remove(used) {
      const id = idOf(used);
      if (!keys.delete(id)) return;
      free.add(id);
      void clear();
    },
  };
}

interface Stored extends Omit<UsedKey, "digest"> {
  readonly digest: string;
  readonly atMs: number;
}

function idOf({ operator, name }: KeyName): string {
  return encodeBase64Url(sha256(encodeUtf8(`${operator}\n${name}`)));
}
