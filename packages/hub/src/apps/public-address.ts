/** Which addresses are somewhere in the internet, and which are this machine's or its neighbours'. */
import { lookup } from "node:dns";
import { BlockList, isIP, type LookupFunction } from "node:net";
import { HubError } from "../errors.js";

/** IANA's special-purpose IPv4 addresses that are not globally reachable, and multicast. */
const special4 = [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.168.0.0", 16],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 3],
] as const;
/** And not in these: protocol assignments with Teredo, documentation, 6to4. */
const special6 = [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["3fff::", 20],
] as const;

const blocked = new BlockList();
for (const [network, bits] of special4) blocked.addSubnet(network, bits, "ipv4");
for (const [network, bits] of special6) blocked.addSubnet(network, bits, "ipv6");
/** Of IPv6 the internet is in here. */
const internet6 = new BlockList();
internet6.addSubnet("2000::", 3, "ipv6");
/** The prefix by which IPv6 reaches IPv4 (RFC 6052): what is meant stands in the last 32 bits. */
const translated = new BlockList();
translated.addSubnet("64:ff9b::", 96, "ipv6");

/** Whether an IPv4 or IPv6 address is globally reachable; false for what is no address. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 4) return !blocked.check(address, "ipv4");
  if (version !== 6) return false;
  if (translated.check(address, "ipv6")) return isPublicAddress(lastFour(address));
  return internet6.check(address, "ipv6") && !blocked.check(address, "ipv6");
}

/** The last 32 bits of an IPv6 address, as an IPv4 address. */
function lastFour(address: string): string {
  // A URL spells every IPv6 address in one way: hexadecimal, a group of zeros as 0 or left out.
  const groups = new URL(`http://[${address.replace(/%.*/, "")}]`).hostname.slice(1, -1).split(":");
  const [high, low] = groups.slice(-2).map((group) => Number.parseInt(group || "0", 16)) as [number, number];
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** `hostname` as in a URL, so IPv6 in brackets: true if every address it has now is public. Rejects when it has none. */
export async function isPublicHost(hostname: string): Promise<boolean> {
  const literal = hostname.replace(/^\[(.*)\]$/, "$1");
  if (isIP(literal)) return isPublicAddress(literal);
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  lookup(hostname, { all: true }, (error, found) => {
    if (error) reject(error);
    else resolve(found.every(({ address }) => isPublicAddress(address)));
  });
  return promise;
}

/**
 * Looks a name up for a connection, which then goes to the very address that was judged: no second answer can lead it
 * elsewhere. Fails with APP_UNAVAILABLE for a name of which any address is not public.
 */
export const lookupPublic: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, found) => {
    if (error) return callback(error, "");
    if (!found.every(({ address }) => isPublicAddress(address))) return callback(notPublic(hostname), "");
    if (options.all) callback(null, found);
    else callback(null, found[0]!.address, found[0]!.family);
  });
};

/** The error for an address inside the network that only something outside it has named. */
export function notPublic(hostname: string): HubError {
  return new HubError({
    code: "APP_UNAVAILABLE",
    message: `${hostname} is an address inside this network, which an authorization server in the internet may not name.`,
    hint: "Set `issuer` to the authorization server's own address inside the network, if that is meant.",
  });
}
