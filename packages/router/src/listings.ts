/** Listings that are remembered: one per hub and authority, bounded in number and bytes, the least recently read first to go. */
import type { HubId } from "@fed/core";
import { limits } from "./limits.js";
import type { ListedApp } from "./listing.js";
import type { Caller } from "./ports.js";
import { SearchText } from "./search.js";

/** What a hub showed. Shared by all listings of it that say the same. */
export class Shown {
  readonly apps: readonly ListedApp[];
  /** Of its JSON. */
  readonly bytes: number;
  readonly digest: string;
  #text: SearchText | undefined;

  constructor(apps: readonly ListedApp[], bytes: number, digest: string) {
    this.apps = apps;
    this.bytes = bytes;
    this.digest = digest;
  }

  /** Made at the first search. */
  get text(): SearchText {
    this.#text ??= new SearchText(this.apps);
    return this.#text;
  }
}

/** What a hub showed one caller. */
export interface Listing {
  readonly hubId: HubId;
  readonly authority: string;
  /** Whoever asked last on that authority. */
  readonly caller: Caller;
  readonly shown: Shown;
  /** When its hub said so, wall clock and monotonic. */
  readonly asOfMs: number;
  readonly atMs: number;
  /** Its hub has said since that something changed, or was out of reach. */
  changed: boolean;
  /** When somebody last looked, monotonic. */
  readAtMs: number;
}

/** Roles and scope shape what a hub shows, so they are part of who asks. */
export function authorityOf({ operator, roles, scope }: Caller): string {
  return JSON.stringify([operator, roles, scope]);
}

/** See the module header. */
export class Listings {
  readonly #byHub = new Map<HubId, Map<string, Listing>>();
  /** The least recently read first. */
  readonly #all = new Set<Listing>();
  #bytes = 0;

  /** Undefined when nothing is known. */
  get(hubId: HubId, authority: string): Listing | undefined {
    return this.#byHub.get(hubId)?.get(authority);
  }

  /** Like {@link get}, by somebody who looks at it. */
  read(hubId: HubId, authority: string, atMs: number): Listing | undefined {
    const listing = this.get(hubId, authority);
    if (!listing) return undefined;
    listing.readAtMs = atMs;
    this.#all.delete(listing);
    this.#all.add(listing);
    return listing;
  }

  of(hubId: HubId): Iterable<Listing> {
    return this.#byHub.get(hubId)?.values() ?? [];
  }

  all(): Iterable<Listing> {
    return this.#all;
  }

  /** Something a listing of `hubId` says already, word for word. */
  same(hubId: HubId, digest: string): Shown | undefined {
    for (const { shown } of this.of(hubId)) if (shown.digest === digest) return shown;
    return undefined;
  }

  /** Remembers it in place of the one there was. */
  set(listing: Listing): void {
    const { hubId, authority } = listing;
    const known = this.get(hubId, authority);
    if (known) this.delete(known);
    let ofHub = this.#byHub.get(hubId);
    if (!ofHub) {
      ofHub = new Map();
      this.#byHub.set(hubId, ofHub);
    }
    ofHub.set(authority, listing);
    this.#all.add(listing);
    this.#bytes += listing.shown.bytes;
    for (const oldest of this.#all) {
      if (this.#all.size <= limits.listings && this.#bytes <= limits.listingBytes) return;
      this.delete(oldest);
    }
  }

  delete(listing: Listing): void {
    const { hubId, authority, shown } = listing;
    if (!this.#all.delete(listing)) return;
    this.#bytes -= shown.bytes;
    const ofHub = this.#byHub.get(hubId)!;
    ofHub.delete(authority);
    if (ofHub.size === 0) this.#byHub.delete(hubId);
  }

  deleteHub(hubId: HubId): void {
    for (const listing of [...this.of(hubId)]) this.delete(listing);
  }

  deleteOperator(operator: string): void {
    for (const listing of [...this.#all]) if (listing.caller.operator === operator) this.delete(listing);
  }
}
