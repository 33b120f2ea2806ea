/** Where members say that they are, told over another path: what carries the LAN where multicast is blocked. */
import { isIP } from "node:net";
import type { Candidate, HubId } from "@fed/core";
import { formatAddress, maxListedAddresses, parseAddress } from "./address.js";
import { isOnLink, withZone } from "./instance.js";
import { isWildcard, type NetworkLink, usableLinks } from "./interfaces.js";
import type { LinkWatch } from "./link-watch.js";

/** Options of {@link createPeerCandidates}. */
export interface PeerCandidatesOptions {
  readonly watch: LinkWatch;
  /** Names of the interfaces to use. */
  readonly interfaces?: readonly string[] | undefined;
  /** What is bound now. */
  listening(): { readonly host: string; readonly port: number } | undefined;
}

/** Both halves of the exchange. */
export interface PeerCandidates {
  /**
   * Where this hub is reached by hubs on its own networks, `host:port`, at most eight; link-local ones without a zone,
   * which is each reader's own. Calls `changed` whenever that differs, beginning now, until the result is called.
   */
  watchOwn(changed: (addresses: readonly string[]) => void): () => void;
  /** Takes what a member says of itself in place of what it said before; an empty list withdraws it. */
  offer(hubId: HubId, addresses: readonly string[]): void;
  /** Reports what of the offers lies on this machine's own networks, until the result is called. */
  browse(onCandidate: (candidate: Candidate) => void): () => void;
}

/** Hubs whose offers are kept. */
const maxHubs = 1_024;

interface Offer {
  readonly addresses: readonly string[];
  published?: string | undefined;
}

export function createPeerCandidates({ watch, interfaces, listening }: PeerCandidatesOptions): PeerCandidates {
  const offers = new Map<HubId, Offer>();
  const browsers = new Set<(candidate: Candidate) => void>();
  let stopLooking: (() => void) | undefined;

  function emit(hubId: HubId, address: string, present: boolean): void {
    for (const browser of [...browsers]) browser({ transport: "lan", address, hubId, source: "peer", present });
  }

  function publish(hubId: HubId, offer: Offer, next: string | undefined): void {
    const before = offer.published;
    offer.published = next;
    if (before === next) return;
    if (next !== undefined) emit(hubId, next, true);
    if (before !== undefined) emit(hubId, before, false);
  }

  function look(links: readonly NetworkLink[]): void {
    const usable = usableLinks(links, { names: interfaces, host: listening()?.host });
    for (const [hubId, offer] of offers) publish(hubId, offer, reachable(offer.addresses, usable));
  }

  return {
    watchOwn(changed) {
      let before: string | undefined;
      return watch.follow((links) => {
        const own = ownAddresses(usableLinks(links, { names: interfaces, host: listening()?.host }), listening());
        if (own.join() === before) return;
        before = own.join();
        changed(own);
      });
    },

    offer(hubId, addresses) {
      const known = offers.get(hubId);
      if (!known && offers.size >= maxHubs) return;
      const offer: Offer = { addresses: addresses.slice(0, maxListedAddresses), published: known?.published };
      offers.set(hubId, offer);
      look(watch.now());
      if (addresses.length === 0) offers.delete(hubId);
    },

    browse(onCandidate) {
      browsers.add(onCandidate);
      stopLooking ??= watch.follow(look);
      for (const [hubId, { published }] of offers) {
        if (published !== undefined) {
          queueMicrotask(() => {
            if (!browsers.has(onCandidate) || offers.get(hubId)?.published !== published) return;
            onCandidate({ transport: "lan", address: published, hubId, source: "peer", present: true });
          });
        }
      }
      return () => {
        browsers.delete(onCandidate);
        if (browsers.size > 0) return;
        stopLooking?.();
        stopLooking = undefined;
      };
    },
  };
}

function ownAddresses(
  links: readonly NetworkLink[],
  listening: { readonly host: string; readonly port: number } | undefined,
): string[] {
  if (!listening) return [];
  const { host, port } = listening;
  const hosts = links
    .flatMap(({ addresses }) => addresses)
    .filter(({ address, family }) => (isWildcard(host) ? host === "::" || family === 4 : address === host))
    .map(({ address }) => address);
  return [...new Set(hosts)].slice(0, maxListedAddresses).map((address) => formatAddress(address, port));
}

/** Those of `addresses` that an interface reaches directly: a member that lies must not make us dial elsewhere either. */
function reachable(addresses: readonly string[], links: readonly NetworkLink[]): string | undefined {
  const found = new Set<string>();
  for (const { host, port } of addresses.flatMap(readAddress)) {
    for (const link of links) {
      if (isOnLink(link, host)) found.add(formatAddress(withZone(host, link.name), port));
    }
  }
  return found.size > 0 ? [...found].slice(0, maxListedAddresses).sort().join(",") : undefined;
}

function readAddress(text: string): { host: string; port: number }[] {
  try {
    const endpoint = parseAddress(text);
    return isIP(endpoint.host) && !endpoint.host.includes("%") ? [endpoint] : [];
  } catch {
    return [];
  }
}
