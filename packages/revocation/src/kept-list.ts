/** The list on disk: written only if it extends what is there, by compare-and-set, and read back when the hub starts. */
import {
  type Clock,
  type ClusterId,
  CoreError,
  canonicalJson,
  decodeBase64Url,
  parseJson,
  type Store,
  type StoreKey,
  toFedError,
} from "@fed/core";
import type { GeneralJws } from "@fed/trust";
import { RevocationError } from "./errors.js";
import { assertExtends, maxSignedListBytes, parseList, type VerifiedList } from "./list.js";

/** How long the disk may hold up a revocation, milliseconds. */
export const saveTimeoutMs = 5000;
/** Other writers of the same store get in between at most this often. */
const maxAttempts = 8;

/** The place of one cluster's list in a store. */
export interface KeptList {
  /** What is there. It was verified before it was written, so its signatures are not judged again. */
  load(): Promise<VerifiedList | undefined>;
  /**
   * Writes `next` unless a larger list is there, and returns what is there then.
   * @throws {RevocationError} REVOCATION_FORK when what is there says otherwise; REVOCATION_UNSAVED when the store fails
   * or does not answer within 5 seconds.
   */
  save(next: VerifiedList): Promise<VerifiedList>;
}

/** The list of `clusterId` under `key`. */
export function createKeptList(store: Store, key: StoreKey, clusterId: ClusterId, clock: Clock): KeptList {
  /** What the store holds; undefined when that is not known. */
  let known: { readonly bytes: Uint8Array | undefined; readonly kept: VerifiedList | undefined } | undefined;

  async function read(): Promise<NonNullable<typeof known>> {
    const bytes = await store.get(key);
    return { bytes, kept: bytes && parseKept(bytes, clusterId) };
  }

  async function write(next: VerifiedList): Promise<VerifiedList> {
    const bytes = canonicalJson(next.signed);
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const before = known ?? (await read());
      known = undefined;
      if (before.kept) {
        const larger = before.kept.list.number > next.list.number;
        assertExtends(
          ...(larger ? ([before.kept.list, next.list] as const) : ([next.list, before.kept.list] as const)),
        );
        if (larger) {
          known = before;
          return before.kept;
        }
      }
      if (await store.compareAndSet(key, before.bytes, bytes)) {
        known = { bytes, kept: next };
        return next;
      }
    }
    throw new RevocationError({
      code: "REVOCATION_UNSAVED",
      message: "Other writers kept changing the revocation list.",
    });
  }

  return {
    async load() {
      known = await read();
      return known.kept;
    },
    async save(next) {
      try {
        return await withTimeout(write(next), clock);
      } catch (cause) {
        if (cause instanceof RevocationError && cause.code === "REVOCATION_FORK") throw cause;
        throw new RevocationError({
          code: "REVOCATION_UNSAVED",
          message: "The revocation list is in force but could not be saved.",
          hint: "Mend the store before this hub restarts, or it begins again with the list it had saved.",
          retryable: true,
          cause: toFedError(cause),
        });
      }
    },
  };
}

/**
 * The signed list that the store's `bytes` hold.
 * @throws {RevocationError} REVOCATION_CORRUPT when they hold none: without its list a hub must not start.
 */
function parseKept(bytes: Uint8Array, clusterId: ClusterId): VerifiedList {
  try {
    const signed = parseJson(bytes, { maxBytes: maxSignedListBytes, maxDepth: 8 }) as unknown as GeneralJws;
    return { list: parseList(decodeBase64Url(signed.payload), clusterId), signed };
  } catch (cause) {
    throw new RevocationError({
      code: "REVOCATION_CORRUPT",
      message: "The saved revocation list cannot be read.",
      hint: "Restore the store; or delete the list, then fetch it from a peer before calling other hubs.",
      cause,
    });
  }
}

async function withTimeout<T>(operation: Promise<T>, clock: Clock): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = clock.setTimer(saveTimeoutMs, () =>
    reject(
      new CoreError({ code: "DEADLINE_EXCEEDED", message: `The store did not answer within ${saveTimeoutMs} ms.` }),
    ),
  );
  try {
    return await Promise.race([operation, promise]);
  } finally {
    timer.cancel();
  }
}
