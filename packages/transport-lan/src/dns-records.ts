/** The DNS-SD records (RFC 6763) that name this service, and reading those of others. docs/spec/lan.md, "Discovery". */
import { decodeUtf8, isFedError } from "@fed/core";

export const serviceType = "_aiappuse._tcp.local";
/** The name under which a network's service types are listed (RFC 6763 §9). */
export const serviceTypeList = "_services._dns-sd._udp.local";

/** All records live this long, seconds; what others claim is cut to it. */
export const recordTtlSeconds = 120;

/** A question. */
export interface DnsQuestion {
  readonly name: string;
  readonly type: string;
}

/** A record as read or written. `data` depends on `type` and, when read, is anything. */
export interface DnsRecord {
  readonly name: string;
  readonly type: string;
  /** Seconds. */
  readonly ttl: number;
  /** The cache-flush bit (RFC 6762 §10.2): this replaces what was known. */
  readonly flush?: boolean;
  readonly data: unknown;
}

/** A message without its header. */
export interface DnsMessage {
  readonly type: "query" | "response";
  readonly id?: number;
  /** Of a query: more of what is known already follows in further packets (RFC 6762 §7.2). */
  readonly truncated?: boolean;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  /** Of a query: what the sender is about to claim (RFC 6762 §8.2). */
  readonly authorities?: readonly DnsRecord[];
  readonly additionals: readonly DnsRecord[];
}

/** What a hub says of itself on one interface. */
export interface Announcement {
  /** Random label: names neither hub nor machine. */
  readonly instance: string;
  readonly port: number;
  readonly bootId: string;
  readonly tag: string;
  /** IP addresses on this interface. */
  readonly addresses: readonly string[];
}

/** The groups in which records are asked for. */
export interface AnnouncementRecords {
  readonly typeList: DnsRecord;
  readonly pointer: DnsRecord;
  readonly service: DnsRecord;
  readonly text: DnsRecord;
  readonly addresses: readonly DnsRecord[];
}

/** A question about `name`. */
export function question(name: string, type: string): DnsQuestion {
  return { name, type };
}

/** A query without more than `questions` and what is known. */
export function query(questions: readonly DnsQuestion[], answers: readonly DnsRecord[] = []): DnsMessage {
  return { type: "query", questions, answers, additionals: [] };
}

/** A response. */
export function response(answers: readonly DnsRecord[], additionals: readonly DnsRecord[] = []): DnsMessage {
  return { type: "response", questions: [], answers, additionals };
}

/** The full name of an instance. */
export function instanceName(instance: string): string {
  return `${instance}.${serviceType}`;
}

/** The host name of an instance: it names no machine. */
export function hostName(instance: string): string {
  return `${instance}.local`;
}

/** The records of `announcement`; TTL 0 takes them back. */
export function announcementRecords(announcement: Announcement, ttl = recordTtlSeconds): AnnouncementRecords {
  const { instance, port, bootId, tag, addresses } = announcement;
  const name = instanceName(instance);
  const host = hostName(instance);
  return {
    typeList: { name: serviceTypeList, type: "PTR", ttl, data: serviceType },
    pointer: { name: serviceType, type: "PTR", ttl, data: name },
    service: { name, type: "SRV", ttl, flush: true, data: { port, target: host, priority: 0, weight: 0 } },
    text: { name, type: "TXT", ttl, flush: true, data: ["txtvers=1", "p=1", `b=${bootId}`, `c=${tag}`] },
    addresses: addresses.map((address) => ({
      name: host,
      type: address.includes(":") ? "AAAA" : "A",
      ttl,
      flush: true,
      data: address,
    })),
  };
}

/** Names compare without case (RFC 6762 §16). */
export function sameName(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** The instance label in a full name; undefined for any other name. */
export function instanceLabel(name: string): string | undefined {
  const suffix = `.${serviceType}`;
  if (!name.toLowerCase().endsWith(suffix)) return undefined;
  const label = name.slice(0, -suffix.length);
  return /^[\w-]{1,63}$/.test(label) ? label.toLowerCase() : undefined;
}

/** Where an instance listens. */
export interface ServiceData {
  /** Lower case. */
  readonly host: string;
  readonly port: number;
}

/** What an instance says of itself. */
export interface TextData {
  readonly bootId: string;
  readonly tag: string;
}

/** Host and port in SRV data; undefined when it is no such thing. */
export function readService(data: unknown): ServiceData | undefined {
  if (typeof data !== "object" || data === null) return undefined;
  const { port, target } = data as Record<string, unknown>;
  if (typeof port !== "number" || port < 1 || port > 65_535) return undefined;
  if (typeof target !== "string" || target.length > 255) return undefined;
  return { host: target.toLowerCase(), port };
}

/** Boot id and cluster tag in TXT data of protocol 1; undefined otherwise. The first of a key counts (RFC 6763 §6.4). */
export function readText(data: unknown): TextData | undefined {
  const entries = Array.isArray(data) ? data : [data];
  const values = new Map<string, string>();
  for (const entry of entries.slice(0, 16)) {
    if (!(entry instanceof Uint8Array) || entry.length > 255) return undefined;
    const text = textOf(entry);
    const split = text?.indexOf("=") ?? -1;
    if (text === undefined || split < 1) continue;
    const key = text.slice(0, split).toLowerCase();
    if (!values.has(key)) values.set(key, text.slice(split + 1));
  }
  const [bootId, tag] = [values.get("b"), values.get("c")];
  if (values.get("p") !== "1" || bootId === undefined || tag === undefined) return undefined;
  return { bootId, tag };
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return decodeUtf8(bytes);
  } catch (error) {
    if (isFedError(error)) return undefined;
    throw error;
  }
}
