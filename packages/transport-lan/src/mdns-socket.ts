/** One multicast DNS socket on one interface and address family (RFC 6762), on `multicast-dns`. */
import multicastDns from "multicast-dns";
import type { DnsMessage } from "./dns-records.js";
import type { NetworkLink } from "./interfaces.js";

/** Where a packet came from, or goes to by unicast. */
export interface PacketSource {
  readonly address: string;
  readonly port: number;
}

/** What a socket tells. */
export interface MdnsSocketHandler {
  ready(): void;
  message(message: DnsMessage, from: PacketSource): void;
  /** It cannot be used (any more). */
  failed(error: Error): void;
}

/** A socket. */
export interface MdnsSocket {
  /** Sends to the group, or to `to`. `done` always follows. */
  send(message: DnsMessage, to?: PacketSource, done?: (error: Error | undefined) => void): void;
  close(): void;
}

/** Makes sockets; tests hand in their own. */
export type OpenMdnsSocket = (link: NetworkLink, family: 4 | 6, handler: MdnsSocketHandler) => MdnsSocket;

/** The port of multicast DNS; who asks from another gets a unicast answer (RFC 6762 §6.7). */
export const mdnsPort = 5353;

/** Sockets of the machine. */
export const openMdnsSocket: OpenMdnsSocket = (link, family, handler) => {
  const options =
    family === 4
      ? // Bound to the interface's own address, a socket on Linux would hear no multicast.
        { interface: link.addresses.find((entry) => entry.family === 4)?.address, bind: "0.0.0.0" }
      : { type: "udp6" as const, ip: "ff02::fb", interface: `::%${link.name}`, bind: "::" };
  const mdns = multicastDns(options);
  let closed = false;
  mdns.on("ready", () => !closed && handler.ready());
  mdns.on("error", (error) => !closed && handler.failed(error));
  mdns.on("warning", (error) => {
    // A failed system call, such as joining the group, leaves us deaf; a malformed packet happens.
    if (!closed && "syscall" in error) handler.failed(error);
  });
  const receive = (type: "query" | "response") => (packet: unknown, from: PacketSource) => {
    if (!closed) handler.message({ ...(packet as DnsMessage), type }, from);
  };
  mdns.on("query", receive("query"));
  mdns.on("response", receive("response"));
  return {
    send(message, to, done) {
      const { type, ...packet } = message;
      const finished = (error: Error | null): void => done?.(error ?? undefined);
      if (closed) return finished(null);
      const target = to && { ...to };
      // The typings know records more closely than is of use here.
      if (type === "query") mdns.query(packet as never, target as never, finished);
      else mdns.respond(packet as never, target as never, finished);
    },
    close() {
      if (closed) return;
      closed = true;
      mdns.destroy();
    },
  };
};
