/** Binding the listening socket, and the addresses a bound one is reached at. */
import type { Server } from "node:net";
import { networkInterfaces } from "node:os";
import { formatAddress, isLoopback, unmapped } from "./address.js";
import { LanError } from "./errors.js";

/** Most addresses a listener names. */
const maxAddresses = 16;

/**
 * Binds to `host`, or to every address, IPv6 and IPv4, when it is undefined. Port 0 takes a free one.
 * @throws {LanError} LAN_PORT_IN_USE, LAN_LISTEN_FAILED.
 */
export async function bind(
  server: Server,
  options: { readonly host: string | undefined; readonly port: number },
): Promise<void> {
  const { port } = options;
  try {
    await listenOn(server, options.host ?? "::", port);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    // A machine without IPv6.
    if (options.host === undefined && (code === "EAFNOSUPPORT" || code === "EADDRNOTAVAIL")) {
      return bind(server, { host: "0.0.0.0", port });
    }
    throw bindError(cause, options.host ?? "all addresses", port);
  }
}

/** Addresses at which a socket bound to `host`:`port` is reached, those on a network before loopback. */
export function reachableAddresses(host: string, port: number): string[] {
  if (host !== "::" && host !== "0.0.0.0") return [formatAddress(unmapped(host), port)];
  const hosts: string[] = [];
  for (const entries of Object.values(networkInterfaces())) {
    for (const { address, family } of entries ?? []) {
      // A link-local address means nothing on another machine without that machine's own zone.
      if (address.startsWith("fe80:") || (family === "IPv6" && host === "0.0.0.0")) continue;
      hosts.push(address);
    }
  }
  hosts.sort((a, b) => rank(a) - rank(b));
  return hosts.slice(0, maxAddresses).map((address) => formatAddress(address, port));
}

function rank(host: string): number {
  return (isLoopback(host) ? 2 : 0) + (host.includes(":") ? 1 : 0);
}

function listenOn(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function bindError(cause: unknown, where: string, port: number): LanError {
  if ((cause as NodeJS.ErrnoException).code === "EADDRINUSE") {
    return new LanError({
      code: "LAN_PORT_IN_USE",
      message: `Port ${port} is taken.`,
      hint: "Stop the other program, choose another port, or use 0 for any free one.",
      cause,
    });
  }
  return new LanError({
    code: "LAN_LISTEN_FAILED",
    message: `Cannot listen on ${where}, port ${port}.`,
    hint: "The address must belong to this machine, and ports below 1024 need privileges.",
    cause,
  });
}
