/** The machine's network interfaces, with what tells a re-created one from the old. */
import { readFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { isLoopback } from "./address.js";

/** One address of an interface. */
export interface LinkAddress {
  readonly family: 4 | 6;
  readonly address: string;
  readonly prefixLength: number;
}

/** One interface. */
export interface NetworkLink {
  readonly name: string;
  readonly internal: boolean;
  readonly addresses: readonly LinkAddress[];
  /**
   * Name, index, MAC and addresses. A new value means the old sockets are deaf: an interface that is deleted and made
   * again with the same address keeps everything but its index.
   */
  readonly key: string;
}

/** Most interfaces that are used. */
const maxLinks = 16;

/** All interfaces that are up and have an address. */
export function listLinks(): NetworkLink[] {
  return Object.entries(networkInterfaces()).map(([name, entries = []]) => {
    const addresses = entries.map(({ family, address, cidr }) => ({
      family: family === "IPv4" ? (4 as const) : (6 as const),
      address,
      prefixLength: Number(cidr?.split("/")[1] ?? (family === "IPv4" ? 32 : 128)),
    }));
    const hosts = addresses.map(({ address, prefixLength }) => `${address}/${prefixLength}`).sort();
    return {
      name,
      internal: entries.some(({ internal }) => internal),
      addresses,
      key: [name, interfaceIndex(name, entries), entries[0]?.mac, ...hosts].join(" "),
    };
  });
}

/**
 * The interfaces to use: those in `names`; else those that have the bound address; else all but loopback, which is
 * taken only where there is nothing else, so that hubs on one machine find each other.
 */
export function usableLinks(
  links: readonly NetworkLink[],
  options: { readonly names?: readonly string[] | undefined; readonly host?: string | undefined },
): NetworkLink[] {
  const { names, host } = options;
  if (names) return links.filter(({ name }) => names.includes(name)).slice(0, maxLinks);
  if (host !== undefined && !isWildcard(host)) {
    return links.filter(({ addresses }) => addresses.some(({ address }) => address === host));
  }
  const external = links.filter(({ internal }) => !internal);
  return (external.length > 0 ? external : links.filter(hasLoopback)).slice(0, maxLinks);
}

/** Whether `host` stands for every address. */
export function isWildcard(host: string): boolean {
  return host === "::" || host === "0.0.0.0";
}

function hasLoopback({ addresses }: NetworkLink): boolean {
  return addresses.some(({ address }) => isLoopback(address));
}

function interfaceIndex(name: string, entries: readonly { scopeid?: number }[]): string | number {
  try {
    return readFileSync(`/sys/class/net/${name}/ifindex`, "latin1").trim();
  } catch {
    // Not Linux: the zone of the link-local address is the index.
    return entries.find(({ scopeid }) => scopeid)?.scopeid ?? 0;
  }
}
