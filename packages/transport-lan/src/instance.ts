/** One announced instance as it was heard: its records, each with the lifetime it came with (RFC 6762 §10). */
import { formatAddress, inSubnet } from "./address.js";
import {
  type DnsQuestion,
  type DnsRecord,
  instanceName,
  question,
  recordTtlSeconds,
  type ServiceData,
  type TextData,
} from "./dns-records.js";
import type { NetworkLink } from "./interfaces.js";

export const maxAddressesPerInstance = 8;
/** How long what was taken back or replaced still counts: its owner may say that it stands (RFC 6762 §10.1, §10.2). */
export const graceMs = 1_000;
/** When a record is asked for again, in parts of its lifetime (RFC 6762 §5.2). */
const refreshPoints = [0.8, 0.85, 0.9, 0.95];

/** Something heard, until it expires. Times are monotonic. */
interface Held<T> {
  readonly value: T;
  readonly heardAtMs: number;
  /** From when it was heard. */
  readonly ttlMs: number;
}

/** An instance on one interface. */
export interface Instance {
  readonly label: string;
  /** The interface as it was when the instance was last heard. */
  link: NetworkLink;
  /** Who first told of it: its place counts against that address. */
  readonly source: string;
  pointer?: Held<undefined> | undefined;
  service?: Held<ServiceData> | undefined;
  text?: Held<TextData> | undefined;
  /** By address; the value is the record's type. */
  readonly addresses: Map<string, Held<string>>;
  /** The candidate that stands for it now. */
  published?: string | undefined;
  publishedBootId?: string;
}

/** An address record that was read. */
export interface AddressRecord {
  readonly type: string;
  readonly address: string;
  /** Seconds; 0 when it is taken back. */
  readonly ttl: number;
  readonly flush: boolean;
  /** Reached directly over the interface it was heard on. */
  readonly onLink: boolean;
}

/** `value`, heard now, for at most {@link recordTtlSeconds}. */
export function hold<T>(value: T, ttl: number, nowMs: number): Held<T> {
  return { value, heardAtMs: nowMs, ttlMs: Math.min(ttl, recordTtlSeconds) * 1_000 };
}

/** `held` with no more than {@link graceMs} to live. */
export function endSoon<T>(held: Held<T>, nowMs: number): Held<T> {
  return { ...held, ttlMs: Math.min(held.ttlMs, nowMs - held.heardAtMs + graceMs) };
}

/** Takes in the address records of the instance's host. */
export function readAddresses(instance: Instance, records: readonly AddressRecord[], nowMs: number): void {
  const { addresses } = instance;
  const flushed = new Set(records.filter(({ flush, ttl }) => flush && ttl > 0).map(({ type }) => type));
  for (const { type, address, ttl, onLink } of records) {
    const known = addresses.get(address);
    if (ttl === 0) {
      if (known) addresses.set(address, endSoon(known, nowMs));
    } else if (onLink && (known || addresses.size < maxAddressesPerInstance || dropEnding(instance, nowMs))) {
      addresses.set(address, hold(type, ttl, nowMs));
    }
  }
  // What a flush does not repeat ends, but not what was heard just before: a machine with two interfaces on one network
  // speaks twice, each time of one address.
  for (const [address, held] of addresses) {
    if (flushed.has(held.value) && nowMs - held.heardAtMs >= graceMs) addresses.set(address, endSoon(held, nowMs));
  }
}

/** Makes room among the addresses by giving up one that is about to end. */
function dropEnding({ addresses }: Instance, nowMs: number): boolean {
  for (const [address, held] of addresses) {
    if (expiresAtMs(held) - nowMs <= graceMs) return addresses.delete(address);
  }
  return false;
}

/** Drops what has expired. */
export function expireRecords(instance: Instance, nowMs: number): void {
  const live = <T>(held: Held<T> | undefined) => (held && expiresAtMs(held) > nowMs ? held : undefined);
  // The pointer says that there is an instance: once it has ended nothing else counts.
  const ended = instance.pointer !== undefined && !live(instance.pointer);
  instance.pointer = live(instance.pointer);
  instance.service = ended ? undefined : live(instance.service);
  instance.text = ended ? undefined : live(instance.text);
  for (const [address, held] of instance.addresses) if (!live(held)) instance.addresses.delete(address);
}

/** Whether anything still says that there is an instance. */
export function isGone({ pointer, service, text }: Instance): boolean {
  return !pointer && !service && !text;
}

/** Where the instance is, all its addresses in one line of a stable order; undefined while something is lacking. */
export function candidateOf({ service, text, link, addresses }: Instance): string | undefined {
  if (!service || !text || addresses.size === 0) return undefined;
  return [...addresses.keys()]
    .map((host) => formatAddress(withZone(host, link.name), service.value.port))
    .sort()
    .join(",");
}

/** What must be asked because it was left out. */
export function missingQuestions({ label, service, text, addresses }: Instance): DnsQuestion[] {
  const questions: DnsQuestion[] = [];
  if (!service) questions.push(question(instanceName(label), "SRV"));
  if (!text) questions.push(question(instanceName(label), "TXT"));
  if (service && addresses.size === 0) {
    questions.push(question(service.value.host, "A"), question(service.value.host, "AAAA"));
  }
  return questions;
}

/** What is to be asked for again though the pointer, whose answer brings the rest along, is not due yet. */
export function staleQuestions({ label, pointer, service, text, addresses }: Instance, nowMs: number): DnsQuestion[] {
  const due = (held: Held<unknown> | undefined) => held !== undefined && nowMs >= refreshesAtMs(held, 0);
  if (due(pointer)) return [];
  const questions: DnsQuestion[] = [];
  if (due(service)) questions.push(question(instanceName(label), "SRV"));
  if (due(text)) questions.push(question(instanceName(label), "TXT"));
  const types = new Set([...addresses.values()].filter(due).map(({ value }) => value));
  for (const type of service ? types : []) questions.push(question(service!.value.host, type));
  return questions;
}

/** When something of the instance is to be asked for again; undefined when it is past all that. */
export function nextRefreshMs({ pointer, service, text, addresses }: Instance, nowMs: number): number | undefined {
  let next: number | undefined;
  for (const held of [pointer, service, text, ...addresses.values()]) {
    const dueMs = held && refreshPoints.map((_, index) => refreshesAtMs(held, index)).find((atMs) => atMs > nowMs);
    if (dueMs !== undefined && (next === undefined || dueMs < next)) next = dueMs;
  }
  return next;
}

/** The pointer as a known answer, while more than half its life is left; later its owner shall answer (RFC 6762 §7.1). */
export function knownPointer({ label, pointer }: Instance, serviceType: string, nowMs: number): DnsRecord | undefined {
  if (!pointer) return undefined;
  const leftMs = expiresAtMs(pointer) - nowMs;
  if (leftMs <= (recordTtlSeconds * 1_000) / 2) return undefined;
  return { name: serviceType, type: "PTR", ttl: Math.floor(leftMs / 1_000), data: instanceName(label) };
}

/** Only what the receiving interface reaches directly: an announcement must not make us dial elsewhere. */
export function isOnLink(link: NetworkLink, address: string): boolean {
  return link.addresses.some((own) => inSubnet(address, own.address, own.prefixLength));
}

/** A link-local address with the interface through which it is reached. */
export function withZone(host: string, linkName: string): string {
  return host.toLowerCase().startsWith("fe80:") ? `${host}%${linkName}` : host;
}

function expiresAtMs({ heardAtMs, ttlMs }: Held<unknown>): number {
  return heardAtMs + ttlMs;
}

function refreshesAtMs({ heardAtMs, ttlMs }: Held<unknown>, index: number): number {
  return heardAtMs + refreshPoints[index]! * ttlMs;
}
