/** What was heard of other hubs: which instances exist, where, and what of it is worth dialling. */
import type { Candidate, Clock } from "@fed/core";
import { formatAddress, inSubnet } from "./address.js";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  instanceLabel,
  instanceName,
  readService,
  readText,
  recordTtlSeconds,
  sameName,
  serviceType,
} from "./dns-records.js";
import type { NetworkLink } from "./interfaces.js";

export const maxInstances = 256;
export const maxAddressesPerInstance = 8;
/** Records of one message that are looked at. */
const maxRecordsPerMessage = 128;
/** When a known instance is asked for again, in parts of its lifetime (RFC 6762 §5.2). */
const refreshPoints = [0.8, 0.9, 0.95];

/** Options of {@link createBrowser}. */
export interface BrowserOptions {
  readonly clock: Clock;
  /** Our own label: what we hear of ourselves is dropped. */
  readonly instance: string;
  acceptedTags(atMs: number): readonly string[];
  onCandidate(candidate: Candidate): void;
}

/** Keeps instances by interface and turns changes into candidates. */
export interface Browser {
  /** Takes in a response heard on `link`; answers with what must be asked because it was left out. */
  heard(link: NetworkLink, message: DnsMessage): DnsQuestion[];
  /** Pointers to list as known when asking on that interface (RFC 6762 §7.1). */
  knownAnswers(linkName: string): DnsRecord[];
  /** Withdraws what has expired. */
  expire(): void;
  /** When, on the monotonic clock, something on that interface should be asked for again; undefined: nothing known. */
  refreshAtMs(linkName: string): number | undefined;
  /** Withdraws what was heard on interfaces that are not among these. */
  keepOnly(linkNames: ReadonlySet<string>): void;
  /** Addresses that are published now. */
  addresses(): string[];
  /** Withdraws everything. */
  clear(): void;
}

interface Instance {
  readonly label: string;
  /** As it was when the instance was last heard. */
  link: NetworkLink;
  heardAtMs: number;
  ttlMs: number;
  service?: { host: string; port: number } | undefined;
  text?: { bootId: string; tag: string } | undefined;
  /** By record type, so that one type's flush leaves the other alone. */
  readonly addresses: Map<string, Set<string>>;
  published: Set<string>;
  publishedBootId?: string;
}

/** An address record that was read. */
interface AddressRecord {
  readonly type: string;
  readonly address: string;
  /** Withdrawn. */
  readonly gone: boolean;
  readonly flush: boolean;
  /** Reached directly over the interface it was heard on. */
  readonly onLink: boolean;
}

export function createBrowser(options: BrowserOptions): Browser {
  const { clock } = options;
  const instances = new Map<string, Instance>();
  /** Address → how many instances publish it: a hub that crashed and came back is two for a while. */
  const publishers = new Map<string, number>();

  function emit(address: string, present: boolean): void {
    options.onCandidate({ transport: "lan", address, source: "mdns", present });
  }

  function withdraw(address: string): void {
    const left = (publishers.get(address) ?? 1) - 1;
    if (left > 0) {
      publishers.set(address, left);
    } else {
      publishers.delete(address);
      emit(address, false);
    }
  }

  /** Reports the difference between what was published and `next`. */
  function publish(instance: Instance, next: Set<string>, again: boolean): void {
    const before = instance.published;
    instance.published = next;
    for (const address of before) if (!next.has(address)) withdraw(address);
    for (const address of next) {
      if (!before.has(address)) publishers.set(address, (publishers.get(address) ?? 0) + 1);
      if (again || !before.has(address)) emit(address, true);
    }
  }

  function remove(key: string): void {
    const instance = instances.get(key);
    instances.delete(key);
    if (instance) publish(instance, new Set(), false);
  }

  function touch(link: NetworkLink, label: string, ttl: number): Instance | undefined {
    const key = keyOf(link.name, label);
    let instance = instances.get(key);
    if (!instance) {
      if (instances.size >= maxInstances) return undefined;
      instance = { label, link, heardAtMs: 0, ttlMs: 0, addresses: new Map(), published: new Set() };
      instances.set(key, instance);
    }
    instance.link = link;
    instance.heardAtMs = clock.monotonicMs();
    instance.ttlMs = Math.min(ttl, recordTtlSeconds) * 1000;
    return instance;
  }

  /** Pointer, service and text records: returns the instances that they name and that are still there. */
  function readInstances(link: NetworkLink, records: readonly DnsRecord[]): Set<Instance> {
    const touched = new Set<Instance>();
    const foreign = foreignLabels(link, records);
    for (const { name, type, ttl, data } of records) {
      const pointer = type === "PTR" && sameName(name, serviceType);
      const label = instanceLabel(pointer ? String(data) : name);
      if (label === undefined || label === options.instance || (!pointer && type !== "SRV" && type !== "TXT")) continue;
      if (ttl === 0) {
        const gone = instances.get(keyOf(link.name, label));
        if (gone) touched.delete(gone);
        remove(keyOf(link.name, label));
        continue;
      }
      if (foreign.has(label)) continue;
      const instance = touch(link, label, ttl);
      if (!instance) continue;
      touched.add(instance);
      if (type === "TXT") instance.text = readText(data);
      if (type === "SRV") instance.service = readService(data) ?? instance.service;
    }
    return touched;
  }

  /** Labels whose text names another cluster, or a day that has passed: they take no place. */
  function foreignLabels(link: NetworkLink, records: readonly DnsRecord[]): Set<string> {
    const foreign = new Set<string>();
    const accepted = options.acceptedTags(clock.nowMs());
    for (const { name, type, ttl, data } of records) {
      const label = type === "TXT" && ttl > 0 ? instanceLabel(name) : undefined;
      if (label === undefined || accepted.includes(readText(data)?.tag ?? "")) continue;
      foreign.add(label);
      remove(keyOf(link.name, label));
    }
    return foreign;
  }

  function readAddresses(instance: Instance, records: readonly AddressRecord[]): void {
    const flushed = new Set<string>();
    for (const { type, address, gone, flush, onLink } of records) {
      if (flush && !flushed.has(type)) {
        flushed.add(type);
        instance.addresses.delete(type);
      }
      const known = instance.addresses.get(type) ?? new Set();
      instance.addresses.set(type, known);
      if (gone) known.delete(address);
      else if (known.size < maxAddressesPerInstance && onLink) known.add(address);
    }
  }

  function update(instance: Instance): void {
    const { service, text, link } = instance;
    if (!service || !text) return;
    const hosts = [...instance.addresses.values()].flatMap((set) => [...set]).slice(0, maxAddressesPerInstance);
    const next = new Set(hosts.map((host) => formatAddress(withZone(host, link.name), service.port)));
    // A new boot id is a restarted hub: worth dialling again at once, even at the old address.
    const restarted = instance.publishedBootId !== undefined && instance.publishedBootId !== text.bootId;
    instance.publishedBootId = text.bootId;
    publish(instance, next, restarted);
  }

  return {
    heard(link, message) {
      const records = [...message.answers, ...message.additionals].slice(0, maxRecordsPerMessage);
      const touched = readInstances(link, records);
      // Addresses may change without the service record being repeated.
      const hosts = addressesByHost(link, records);
      for (const instance of hosts.size > 0 ? instances.values() : []) {
        if (instance.link.name === link.name && hosts.has(instance.service?.host ?? "")) touched.add(instance);
      }
      const missing: DnsQuestion[] = [];
      for (const instance of touched) {
        readAddresses(instance, hosts.get(instance.service?.host ?? "") ?? []);
        update(instance);
        missing.push(...questionsFor(instance));
      }
      return missing.slice(0, 16);
    },

    knownAnswers(linkName) {
      const nowMs = clock.monotonicMs();
      const known: DnsRecord[] = [];
      for (const { label, link, heardAtMs, ttlMs } of instances.values()) {
        const leftMs = heardAtMs + ttlMs - nowMs;
        // Only while more than half is left; later the owner shall answer.
        if (link.name !== linkName || leftMs <= ttlMs / 2) continue;
        known.push({ name: serviceType, type: "PTR", ttl: Math.floor(leftMs / 1000), data: instanceName(label) });
      }
      // Thirty-two fit into one packet whatever their names.
      return known.slice(0, 32);
    },

    expire() {
      const nowMs = clock.monotonicMs();
      for (const [key, { heardAtMs, ttlMs }] of [...instances]) if (nowMs >= heardAtMs + ttlMs) remove(key);
    },

    refreshAtMs(linkName) {
      const nowMs = clock.monotonicMs();
      let next: number | undefined;
      for (const { link, heardAtMs, ttlMs } of instances.values()) {
        if (link.name !== linkName) continue;
        const due = refreshPoints.map((part) => heardAtMs + part * ttlMs).find((atMs) => atMs > nowMs);
        if (due !== undefined && (next === undefined || due < next)) next = due;
      }
      return next;
    },

    keepOnly(linkNames) {
      for (const [key, { link }] of [...instances]) if (!linkNames.has(link.name)) remove(key);
    },

    addresses: () => [...publishers.keys()],

    clear() {
      for (const key of [...instances.keys()]) remove(key);
    },
  };
}

/** The address records of one message by host. Each is judged once, however many instances name its host. */
function addressesByHost(link: NetworkLink, records: readonly DnsRecord[]): Map<string, AddressRecord[]> {
  const hosts = new Map<string, AddressRecord[]>();
  for (const { name, type, ttl, flush, data } of records) {
    if ((type !== "A" && type !== "AAAA") || typeof data !== "string") continue;
    const host = name.toLowerCase();
    const gone = ttl === 0;
    const record = { type, address: data, gone, flush: flush === true, onLink: !gone && isOnLink(link, data) };
    const known = hosts.get(host);
    if (known) known.push(record);
    else hosts.set(host, [record]);
  }
  return hosts;
}

function keyOf(linkName: string, label: string): string {
  return `${linkName}/${label}`;
}

function questionsFor({ label, service, text, addresses }: Instance): DnsQuestion[] {
  const questions: DnsQuestion[] = [];
  if (!service) questions.push({ name: instanceName(label), type: "SRV" });
  if (!text) questions.push({ name: instanceName(label), type: "TXT" });
  if (service && addresses.size === 0) {
    questions.push({ name: service.host, type: "A" }, { name: service.host, type: "AAAA" });
  }
  return questions;
}

/** Only what the receiving interface reaches directly: an announcement must not make us dial elsewhere. */
function isOnLink(link: NetworkLink, address: string): boolean {
  return link.addresses.some((own) => inSubnet(address, own.address, own.prefixLength));
}

function withZone(host: string, linkName: string): string {
  return host.toLowerCase().startsWith("fe80:") ? `${host}%${linkName}` : host;
}
