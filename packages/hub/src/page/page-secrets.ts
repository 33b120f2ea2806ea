/** A hub's secrets among its other documents, read once: pages have no place that is safer than their origin's database. */
import type { Store } from "@fed/core";
import type { SecretKeeper } from "../state/state-directory.js";

const folder = "secret";

/** The secrets in `store`; `path` is what messages call it. */
export async function openPageSecrets(store: Store, path: string): Promise<SecretKeeper> {
  const kept = new Map<string, Uint8Array>();
  for (const { key, value } of await store.list([folder])) kept.set(key[1]!, value);
  return {
    path,
    readSecret: (name) => kept.get(name)?.slice(),
    async writeSecret(name, bytes) {
      await store.set([folder, name], bytes);
      kept.set(name, bytes.slice());
    },
  };
}
