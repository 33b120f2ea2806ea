/** LAN addresses at which this hub has met members: tried again where multicast does not reach. */
import { canonicalJson, parseJson, type Store } from "@fed/core";
import type { HubOptions, LanOptions } from "../options.js";

const key = ["lan", "known"];
const maxAddresses = 32;
/** Up to this place an address counts as new: what is met again and again is not written again and again. */
const fresh = 16;
const maxBytes = 4096;

/** `host:port` of each, the newest first. They decide nothing: whoever answers there must prove who it is. */
export async function knownAddresses(store: Store): Promise<string[]> {
  return readAddresses(await store.get(key));
}

/** Keeps `address` among the newest of at most 32. */
export async function rememberAddress(store: Store, address: string): Promise<void> {
  for (;;) {
    const stored = await store.get(key);
    const known = readAddresses(stored);
    if (known.slice(0, fresh).includes(address)) return;
    const next = [address, ...known.filter((other) => other !== address)].slice(0, maxAddresses);
    if (await store.compareAndSet(key, stored, canonicalJson(next))) return;
  }
}

function readAddresses(stored: Uint8Array | undefined): string[] {
  return stored ? (parseJson(stored, { maxBytes }) as string[]) : [];
}

/** What an embedder says of the LAN, and the addresses this hub remembers: they carry it where multicast does not. */
export async function lanOptions(lan: HubOptions["lan"], store: Store): Promise<LanOptions | undefined> {
  if (!lan) return undefined;
  const given = lan === true ? {} : lan;
  return { ...given, peers: [...new Set([...(given.peers ?? []), ...(await knownAddresses(store))])] };
}
