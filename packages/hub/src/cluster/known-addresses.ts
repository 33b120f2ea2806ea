/** LAN addresses at which this hub has met members: tried again where multicast does not reach. */
import { canonicalJson, parseJson, type Store } from "@fed/core";
import type { HubOptions, LanOptions } from "../options.js";

const key = ["lan", "known"];
const maxAddresses = 8;
const maxBytes = 4096;

/** `host:port` of each, the newest first. They decide nothing: whoever answers there must prove who it is. */
export async function knownAddresses(store: Store): Promise<string[]> {
  const stored = await store.get(key);
  return stored ? (parseJson(stored, { maxBytes }) as string[]) : [];
}

/** Keeps `address` as the newest of at most eight. */
export async function rememberAddress(store: Store, address: string): Promise<void> {
  const others = (await knownAddresses(store)).filter((known) => known !== address);
  await store.set(key, canonicalJson([address, ...others].slice(0, maxAddresses)));
}

/** What an embedder says of the LAN, and the addresses this hub remembers: they carry it where multicast does not. */
export async function lanOptions(lan: HubOptions["lan"], store: Store): Promise<LanOptions | undefined> {
  if (!lan) return undefined;
  const given = lan === true ? {} : lan;
  return { ...given, peers: [...new Set([...(given.peers ?? []), ...(await knownAddresses(store))])] };
}
