/** The hub's audit log: JSON records in an HMAC chain, with the newest acknowledged head kept beside it in the store. */
import {
  type AppendOptions,
  type AuditHead,
  type AuditLog,
  openAuditLog,
  type SegmentStore,
  type VerifiedLog,
  verifyAuditLog,
} from "@fed/audit-chain";
import { type Clock, canonicalJson, decodeHex, encodeHex, parseJson, type Store } from "@fed/core";
import type { AuditSink } from "@fed/router";

const headKey = ["audit", "head"];
/** How often the head is written down; a log cut shorter than that is found out. */
const headEveryMs = 10_000;
const maxHeadBytes = 1024;

/** One record with its number. */
export interface AuditEntry {
  readonly seq: number;
  readonly record: Readonly<Record<string, unknown>>;
}

/** What happened besides calls. */
export interface AuditEvent {
  readonly type: string;
  readonly [fact: string]: unknown;
}

/** See the module header. */
export interface AuditTrail extends AuditSink, AsyncDisposable {
  /** How many there are. */
  records(): number;
  /** Appends an event; durable once resolved. */
  record(event: AuditEvent): Promise<void>;
  /** Appends an event that nobody waits for; a failure is given to `onError`. */
  note(event: AuditEvent): void;
  /** The newest `count` records, oldest first. */
  tail(count: number): Promise<AuditEntry[]>;
  /** Verifies the whole log. @throws {AuditError} AUDIT_TAMPERED, AUDIT_TRUNCATED. */
  verify(): Promise<VerifiedLog>;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Options of {@link openAuditTrail}. */
export interface AuditTrailOptions {
  readonly segments: SegmentStore;
  /** 32 bytes. */
  readonly key: Uint8Array;
  readonly store: Store;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/** @throws {AuditError} AUDIT_TAMPERED and the like: a hub does not run on a log that was changed. */
export async function openAuditTrail(options: AuditTrailOptions): Promise<AuditTrail> {
  const { segments, key, store, clock, onError } = options;
  const log: AuditLog = await openAuditLog({ store: segments, key, clock, expectedHead: await readHead(store) });
  let savedSeq = log.head().seq;
  let timer = clock.setTimer(headEveryMs, tick);
  let closing: Promise<void> | undefined;

  function tick(): void {
    saveHead().catch(onError);
    timer = clock.setTimer(headEveryMs, tick);
  }

  async function saveHead(): Promise<void> {
    const head = log.head();
    if (head.seq === savedSeq) return;
    await store.set(headKey, canonicalJson({ seq: head.seq, tag: encodeHex(head.tag) }));
    savedSeq = head.seq;
  }

  async function append(record: object, options?: AppendOptions): Promise<void> {
    try {
      await log.append(JSON.stringify(record), options);
    } catch (error) {
      onError(error);
      throw error;
    }
  }

  const trail: AuditTrail = {
    records: () => log.head().seq,
    append,
    record: (event) => append({ atMs: clock.nowMs(), ...event }),
    note(event) {
      trail.record(event).catch(() => {});
    },
    async tail(count) {
      await log.flush();
      const from = Math.max(1, log.head().seq - count + 1);
      const entries: AuditEntry[] = [];
      for await (const { seq, bytes } of log.read({ from })) entries.push({ seq, record: readRecord(bytes) });
      return entries;
    },
    async verify() {
      await log.flush();
      return verifyAuditLog({ store: segments, key, expectedHead: await readHead(store) });
    },
    close() {
      closing ??= (async () => {
        timer.cancel();
        // What is still being written belongs to the head.
        await log.close();
        await saveHead().catch(onError);
      })();
      return closing;
    },
    [Symbol.asyncDispose]: () => trail.close(),
  };
  return trail;
}

/** The newest head that was written down, or undefined. */
export async function readHead(store: Store): Promise<AuditHead | undefined> {
  const stored = await store.get(headKey);
  if (!stored) return undefined;
  const { seq, tag } = parseJson(stored, { maxBytes: maxHeadBytes }) as { seq: number; tag: string };
  return { seq, tag: decodeHex(tag) };
}

/** What a record says. */
export function readRecord(bytes: Uint8Array): Record<string, unknown> {
  return parseJson(bytes, { maxBytes: 65_536 }) as Record<string, unknown>;
}
