/** What was heard of other hubs: which instances exist, where, and what of it is worth dialling. */
import type { Candidate, Clock, Timer } from "@fed/core";
import {
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  instanceLabel,
  question,
  readService,
  readText,
  sameName,
  serviceType,
} from "./dns-records.js";
import {
  type AddressRecord,
  candidateOf,
  endSoon,
  expireRecords,
  graceMs,
  hold,
  type Instance,
  isGone,
  isOnLink,
  knownPointer,
  missingQuestions,
  nextRefreshMs,
  readAddresses,
  staleQuestions,
} from "./instance.js";
import type { NetworkLink } from "./interfaces.js";

export const maxInstances = 256;
/** Of one source address. Hubs of one machine share one. */
export const maxInstancesPerSource = 32;
/** Records of one message that are looked at. */
const maxRecordsPerMessage = 128;
const maxQuestions = 16;

/** Options of {@link createBrowser}. */
export interface BrowserOptions {
  readonly clock: Clock;
  /** Whether a label is our own: what we hear of ourselves is dropped. */
  isOwn(label: string): boolean;
  acceptedTags(atMs: number): readonly string[];
  onCandidate(candidate: Candidate): void;
}

/** Keeps instances by interface and turns changes into candidates, one for each instance. */
export interface Browser {
  /** Takes in a response heard on `link`; answers with what must be asked because it was left out. */
  heard(link: NetworkLink, message: DnsMessage, source: string): DnsQuestion[];
  /** Pointers to list as known when asking on that interface (RFC 6762 §7.1). */
  knownAnswers(linkName: string): DnsRecord[];
  /** What to ask now on that interface: for pointers, and for what would end before they are due. */
  questions(linkName: string): DnsQuestion[];
  /** Drops what has expired. */
  expire(): void;
  /** When, on the monotonic clock, something on that interface should be asked for again; undefined: nothing known. */
  refreshAtMs(linkName: string): number | undefined;
  /** Withdraws what was heard on interfaces that are not among these. */
  keepOnly(linkNames: ReadonlySet<string>): void;
  /** Candidates that are published now. */
  addresses(): string[];
  /** Withdraws everything. */
  clear(): void;
}

export function createBrowser(options: BrowserOptions): Browser {
  const { clock } = options;
  const instances = new Map<string, Instance>();
  const placesBySource = new Map<string, number>();
  /** Candidate → how many instances publish it: a hub that crashed and came back is two for a while. */
  const publishers = new Map<string, number>();
  let soon: Timer | undefined;
  /** When the last of what ends soon has ended. */
  let endsAtMs = 0;

  function emit(address: string, present: boolean): void {
    options.onCandidate({ transport: "lan", address, source: "mdns", present });
  }

  /** Makes `next` what stands for the instance. The new comes before the old goes, so that it is a change, not an end. */
  function publish(instance: Instance, next: string | undefined, again: boolean): void {
    const before = instance.published;
    instance.published = next;
    if (next !== undefined && (again || next !== before)) {
      if (next !== before) publishers.set(next, (publishers.get(next) ?? 0) + 1);
      emit(next, true);
    }
    if (before === undefined || before === next) return;
    const left = publishers.get(before)! - 1;
    if (left > 0) {
      publishers.set(before, left);
    } else {
      publishers.delete(before);
      emit(before, false);
    }
  }

  function update(instance: Instance): void {
    const bootId = instance.text?.value.bootId;
    const next = candidateOf(instance);
    if (next === undefined || bootId === undefined) {
      publish(instance, undefined, false);
      return;
    }
    // A new boot id is a restarted hub: worth dialling again at once, even at the old address.
    const restarted = instance.publishedBootId !== undefined && instance.publishedBootId !== bootId;
    instance.publishedBootId = bootId;
    publish(instance, next, restarted);
  }

  function remove(key: string): void {
    const instance = instances.get(key);
    if (!instance) return;
    instances.delete(key);
    const left = placesBySource.get(instance.source)! - 1;
    if (left > 0) placesBySource.set(instance.source, left);
    else placesBySource.delete(instance.source);
    publish(instance, undefined, false);
  }

  /** Takes a place from the source that has most, if that is more than `mine` would be: no one fills the house alone. */
  function makeRoom(mine: number): boolean {
    let [worst, most] = ["", mine + 1];
    for (const [source, count] of placesBySource) if (count > most) [worst, most] = [source, count];
    for (const [key, { source }] of worst ? instances : []) {
      if (source !== worst) continue;
      remove(key);
      return true;
    }
    return false;
  }

  function place(link: NetworkLink, label: string, source: string): Instance | undefined {
    const key = keyOf(link.name, label);
    const known = instances.get(key);
    if (known) {
      known.link = link;
      return known;
    }
    const mine = placesBySource.get(source) ?? 0;
    if (mine >= maxInstancesPerSource || (instances.size >= maxInstances && !makeRoom(mine))) return undefined;
    const instance: Instance = { label, link, source, addresses: new Map() };
    instances.set(key, instance);
    placesBySource.set(source, mine + 1);
    return instance;
  }

  /** Pointer, service and text records: returns the instances that they name. */
  function readInstances(link: NetworkLink, records: readonly DnsRecord[], source: string): Set<Instance> {
    const nowMs = clock.monotonicMs();
    const touched = new Set<Instance>();
    const foreign = foreignLabels(link, records);
    for (const { name, type, ttl, data } of records) {
      const pointer = type === "PTR" && sameName(name, serviceType);
      if (!pointer && type !== "SRV" && type !== "TXT") continue;
      const label = instanceLabel(pointer ? String(data) : name);
      if (label === undefined || options.isOwn(label) || foreign.has(label)) continue;
      const instance = ttl > 0 ? place(link, label, source) : instances.get(keyOf(link.name, label));
      if (!instance) continue;
      touched.add(instance);
      if (ttl === 0) takeBack(instance, type, nowMs);
      else if (pointer) instance.pointer = hold(undefined, ttl, nowMs);
      else read(instance, { type, ttl, data }, nowMs);
    }
    return touched;
  }

  function read(instance: Instance, { type, ttl, data }: Omit<DnsRecord, "name">, nowMs: number): void {
    const service = type === "SRV" ? readService(data) : undefined;
    const text = type === "TXT" ? readText(data) : undefined;
    if (service) instance.service = hold(service, ttl, nowMs);
    if (text) instance.text = hold(text, ttl, nowMs);
  }

  function takeBack(instance: Instance, type: string, nowMs: number): void {
    const { pointer, service, text } = instance;
    if (type === "PTR" && pointer) instance.pointer = endSoon(pointer, nowMs);
    if (type === "SRV" && service) instance.service = endSoon(service, nowMs);
    if (type === "TXT" && text) instance.text = endSoon(text, nowMs);
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

  function expire(): void {
    const nowMs = clock.monotonicMs();
    for (const [key, instance] of [...instances]) {
      expireRecords(instance, nowMs);
      if (isGone(instance)) remove(key);
      else if (instance.published !== undefined) update(instance);
    }
  }

  /** What was taken back or replaced ends within a second, not at the next look at everything. */
  function expireSoon(): void {
    endsAtMs = clock.monotonicMs() + graceMs;
    soon ??= clock.setTimer(graceMs, expireEnding);
  }

  function expireEnding(): void {
    expire();
    const leftMs = endsAtMs - clock.monotonicMs();
    soon = leftMs > 0 ? clock.setTimer(leftMs, expireEnding) : undefined;
  }

  return {
    heard(link, message, source) {
      const records = [...message.answers, ...message.additionals].slice(0, maxRecordsPerMessage);
      const touched = readInstances(link, records, source);
      // Addresses may change without the service record being repeated.
      const hosts = addressesByHost(link, records);
      for (const instance of hosts.size > 0 ? instances.values() : []) {
        if (instance.link.name === link.name && hosts.has(instance.service?.value.host ?? "")) touched.add(instance);
      }
      const nowMs = clock.monotonicMs();
      const missing: DnsQuestion[] = [];
      for (const instance of touched) {
        readAddresses(instance, hosts.get(instance.service?.value.host ?? "") ?? [], nowMs);
        update(instance);
        if (instance.pointer) missing.push(...missingQuestions(instance));
      }
      if (touched.size > 0 && records.some(({ ttl, flush }) => ttl === 0 || flush)) expireSoon();
      return missing.slice(0, maxQuestions);
    },

    knownAnswers(linkName) {
      const nowMs = clock.monotonicMs();
      const own = [...instances.values()].filter(({ link }) => link.name === linkName);
      return own.flatMap((instance) => knownPointer(instance, serviceType, nowMs) ?? []);
    },

    questions(linkName) {
      const nowMs = clock.monotonicMs();
      const stale = [...instances.values()]
        .filter(({ link }) => link.name === linkName)
        .flatMap((instance) => staleQuestions(instance, nowMs));
      return [question(serviceType, "PTR"), ...stale.slice(0, maxQuestions)];
    },

    expire,

    refreshAtMs(linkName) {
      const nowMs = clock.monotonicMs();
      let next: number | undefined;
      for (const instance of instances.values()) {
        const dueMs = instance.link.name === linkName ? nextRefreshMs(instance, nowMs) : undefined;
        if (dueMs !== undefined && (next === undefined || dueMs < next)) next = dueMs;
      }
      return next;
    },

    keepOnly(linkNames) {
      for (const [key, { link }] of [...instances]) if (!linkNames.has(link.name)) remove(key);
    },

    addresses: () => [...publishers.keys()],

    clear() {
      soon?.cancel();
      soon = undefined;
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
    const record = { type, address: data, ttl, flush: flush === true, onLink: ttl > 0 && isOnLink(link, data) };
    const known = hosts.get(host);
    if (known) known.push(record);
    else hosts.set(host, [record]);
  }
  return hosts;
}

function keyOf(linkName: string, label: string): string {
  return `${linkName}/${label}`;
}
