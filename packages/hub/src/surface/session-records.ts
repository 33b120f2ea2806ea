/** What clients changed in their sessions, and which they ended, for as long as a session can live. */
import { type Clock, canonicalJson, parseJson, type Store } from "@fed/core";
import { sha256 } from "@fed/trust";

const folder = "session";
/** Of more, those written longest ago are forgotten: a session ended then could be taken up again, by its own operator. */
const maxRecords = 8192;
const pruneEvery = 1024;
const maxBytes = 4 * 1024 * 1024;

/** What a client changes after it began. */
export interface SessionSettings {
  readonly logLevel: string | undefined;
  readonly subscriptions: readonly string[];
}

/** See the module header. */
export interface SessionRecords {
  /** What is known of a session; undefined when it was ended. */
  read(id: string): Promise<SessionSettings | undefined>;
  write(id: string, settings: SessionSettings): Promise<void>;
  end(id: string): Promise<void>;
}

interface StoredRecord {
  readonly atMs?: number;
  readonly ended?: true;
  readonly logLevel?: string;
  readonly subscriptions?: readonly string[];
}

/** Records in `store` of sessions that live for `lifeMs`. */
export function createSessionRecords(store: Store, clock: Clock, lifeMs: number): SessionRecords {
  let writes = 0;
  const keyOf = (id: string) => [folder, Buffer.from(sha256(Buffer.from(id))).toString("base64url")];

  async function set(id: string, record: StoredRecord): Promise<void> {
    await store.set(keyOf(id), canonicalJson({ ...record, atMs: clock.nowMs() }));
    // What fails is tried again the next time.
    if (writes++ % pruneEvery === 0) prune().catch(() => {});
  }

  /** Each deletion waits for the disk, so others get their turn in between. */
  async function prune(): Promise<void> {
    const records = (await store.list([folder])).map(({ key, value }) => {
      const { atMs = 0 } = parseJson(value, { maxBytes }) as StoredRecord;
      return { key, atMs };
    });
    records.sort((a, b) => a.atMs - b.atMs);
    const oldest = clock.nowMs() - lifeMs;
    for (const [index, { key, atMs }] of records.entries()) {
      if (atMs > oldest && records.length - index <= maxRecords) return;
      await new Promise((resolve) => setImmediate(resolve));
      await store.delete(key);
    }
  }

  return {
    async read(id) {
      const stored = await store.get(keyOf(id));
      const { ended, logLevel, subscriptions = [] } = stored ? (parseJson(stored, { maxBytes }) as StoredRecord) : {};
      return ended ? undefined : { logLevel, subscriptions };
    },
    write: (id, { logLevel, subscriptions }) => set(id, { ...(logLevel && { logLevel }), subscriptions }),
    end: (id) => set(id, { ended: true }),
  };
}
