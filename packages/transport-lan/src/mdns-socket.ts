/** One multicast DNS socket on one interface and address family (RFC 6762 §11, §15, §17), on `dns-packet`. */
import { createSocket, type RemoteInfo } from "node:dgram";
import { decode, encode, TRUNCATED_RESPONSE } from "dns-packet";
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
  /** Whether a packet from there is worth reading; asked before anything of it is looked at. */
  admit(from: PacketSource): boolean;
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

/** Largest packet that is read, bytes (RFC 6762 §17). */
const maxPacketBytes = 9_000;
/** Most questions and records in a packet that is read; their number is known before memory is taken. */
const maxRecordsPerPacket = 512;
const headerBytes = 12;
/** Operation and result codes, which are zero in multicast DNS (RFC 6762 §18). */
const foreignFlags = 0x78_0f;
/** Packets never leave the link, and say so (RFC 6762 §11). */
const hops = 255;

/** Sockets of the machine. */
export const openMdnsSocket: OpenMdnsSocket = (link, family, handler) => {
  // Several programs share the port, each with a socket of its own. A v6 socket must not hear v4 as well.
  const socket =
    family === 4
      ? createSocket({ type: "udp4", reuseAddr: true })
      : createSocket({ type: "udp6", reuseAddr: true, ipv6Only: true });
  const group = family === 4 ? "224.0.0.251" : "ff02::fb";
  let closed = false;

  function close(): void {
    if (closed) return;
    closed = true;
    socket.close();
  }

  function failed(error: Error): void {
    if (closed) return;
    close();
    handler.failed(error);
  }

  socket.on("error", failed);
  socket.on("message", (bytes, from: RemoteInfo) => {
    if (closed || !handler.admit(from)) return;
    const message = readPacket(bytes);
    if (message) handler.message(message, from);
  });
  // Bound to the interface's own address, a socket on Linux would hear no multicast.
  socket.bind({ port: mdnsPort, address: family === 4 ? "0.0.0.0" : "::" }, () => {
    if (closed) return;
    try {
      const own = family === 4 ? link.addresses.find((entry) => entry.family === 4)!.address : `::%${link.name}`;
      socket.addMembership(group, own);
      socket.setMulticastInterface(own);
      socket.setMulticastTTL(hops);
      // Other programs of this machine are to hear us too.
      socket.setMulticastLoopback(true);
    } catch (error) {
      // Not in the group it would be deaf.
      return failed(error as Error);
    }
    handler.ready();
  });

  return {
    send(message, to, done) {
      if (closed) return done?.(undefined);
      const { address, port } = to ?? { address: group, port: mdnsPort };
      socket.send(writePacket(message), port, address, (error) => done?.(error ?? undefined));
    },
    close,
  };
};

/** The message in `bytes`; undefined for what is none, or is larger than any that is meant for us. */
export function readPacket(bytes: Buffer): DnsMessage | undefined {
  if (bytes.length < headerBytes || bytes.length > maxPacketBytes) return undefined;
  let records = 0;
  for (let offset = 4; offset < headerBytes; offset += 2) records += bytes.readUInt16BE(offset);
  if (records > maxRecordsPerPacket || (bytes.readUInt16BE(2) & foreignFlags) !== 0) return undefined;
  try {
    const { type, id, flag_tc, questions, answers, authorities, additionals } = decode(bytes);
    return {
      type: type === "response" ? "response" : "query",
      id: id ?? 0,
      truncated: flag_tc,
      questions: questions ?? [],
      // The typings know records more closely than may be believed of what others sent.
      answers: (answers ?? []) as DnsMessage["answers"],
      authorities: (authorities ?? []) as DnsMessage["answers"],
      additionals: (additionals ?? []) as DnsMessage["answers"],
    };
  } catch {
    // Anybody may send anything.
    return undefined;
  }
}

const authoritativeAnswer = 1 << 10;

/** The bytes of `message`. */
export function writePacket({ type, id = 0, truncated, ...sections }: DnsMessage): Buffer {
  const flags = (type === "response" ? authoritativeAnswer : 0) | (truncated ? TRUNCATED_RESPONSE : 0);
  return encode({ type, id, flags, ...sections } as never);
}
