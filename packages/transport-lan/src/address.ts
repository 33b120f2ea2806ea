/** Addresses of this transport: `host:port`, IPv6 in brackets, a zone after `%` where it is link-local. */
import { BlockList, isIP, isIPv6 } from "node:net";
import { LanError } from "./errors.js";

/** A TCP endpoint. */
export interface Endpoint {
  /** A name or an IP address, IPv6 without brackets. */
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
}

/**
 * The endpoint that `text` (at most 280 characters) names.
 * @throws {LanError} INVALID_ADDRESS.
 */
export function parseAddress(text: string): Endpoint {
  const match =
    text.length <= 280 ? /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]{1,32})?)\]|([\w.-]{1,253})):(\d{1,5})$/.exec(text) : null;
  const [, v6, name, digits] = match ?? [];
  const port = Number(digits);
  const host = v6 ?? name;
  if (host === undefined || (v6 !== undefined && !isIPv6(v6)) || !(port >= 1 && port <= 65_535)) {
    throw new LanError({
      code: "INVALID_ADDRESS",
      message: "Not a LAN address.",
      hint: "Write host:port, for example 192.168.1.20:7443 or [fe80::1%eth0]:7443.",
    });
  }
  return { host, port };
}

/** Most addresses in a list. */
export const maxListedAddresses = 8;

/**
 * The endpoints of one hub in `text`: at most eight addresses with commas between them.
 * @throws {LanError} INVALID_ADDRESS.
 */
export function parseAddresses(text: string): Endpoint[] {
  const listed = text.split(",", maxListedAddresses + 1);
  if (listed.length > maxListedAddresses) {
    throw new LanError({ code: "INVALID_ADDRESS", message: "A hub has at most eight addresses." });
  }
  return listed.map(parseAddress);
}

/** The text form of an endpoint. */
export function formatAddress(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether `host` is an address of this machine's loopback, IPv4-mapped forms included. */
export function isLoopback(host: string): boolean {
  return host === "::1" || unmapped(host).startsWith("127.");
}

/** `::ffff:192.0.2.1` as `192.0.2.1`; anything else as it is. */
export function unmapped(host: string): string {
  return /^::ffff:\d+\./i.test(host) ? host.slice(7) : host;
}

/** Whether `address` lies inside `network`/`prefixLength`. False for anything that is not an IP address of that family. */
export function inSubnet(address: string, network: string, prefixLength: number): boolean {
  const family = isIP(network);
  if (family === 0 || isIP(address) !== family) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  return blockOf(network, prefixLength, type).check(address, type);
}

/** Making a block list costs far more than asking it, and this machine's networks are few. */
const blocks = new Map<string, BlockList>();
const maxBlocks = 256;

function blockOf(network: string, prefixLength: number, type: "ipv4" | "ipv6"): BlockList {
  const key = `${network}/${prefixLength}`;
  let block = blocks.get(key);
  if (!block) {
    block = new BlockList();
    block.addSubnet(network, prefixLength, type);
    if (blocks.size >= maxBlocks) blocks.clear();
    blocks.set(key, block);
  }
  return block;
}
