/** Which of our records answer a question, and which of others' contradict them (RFC 6762 §6, §7.1, §8, §9). */
import {
  type Announcement,
  type AnnouncementRecords,
  announcementRecords,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  hostName,
  instanceName,
  question,
  readService,
  readText,
  recordTtlSeconds,
  response,
  sameName,
  serviceType,
  serviceTypeList,
} from "./dns-records.js";

/** An answer and whether others may answer the same, so that it must be delayed a little. */
export interface Answer {
  readonly message: DnsMessage;
  readonly shared: boolean;
}

/** What somebody asks, and what they know of the answer. */
export interface Asking {
  readonly questions: readonly DnsQuestion[];
  readonly known: readonly DnsRecord[];
}

/** Longest lifetime in an answer to somebody who does not keep a multicast cache, seconds (RFC 6762 §6.7). */
const legacyTtlSeconds = 10;
const maxQuestions = 32;

/**
 * The answer to all of `askings`; undefined when nothing of ours is asked for, or everybody knows it already.
 * `withoutType`: somebody else has told that the service type exists.
 */
export function answerTo(
  askings: readonly Asking[],
  announcement: Announcement,
  { withoutType = false } = {},
): Answer | undefined {
  const records = announcementRecords(announcement);
  const answers = new Set<DnsRecord>();
  for (const { questions, known } of askings) {
    for (const question of questions.slice(0, maxQuestions)) {
      for (const record of asked(question, records)) if (!isKnown(record, known)) answers.add(record);
    }
  }
  if (withoutType) answers.delete(records.typeList);
  if (answers.size === 0) return undefined;
  const shared = answers.has(records.pointer) || answers.has(records.typeList);
  const helpful = answers.has(records.pointer)
    ? [records.service, records.text, ...records.addresses]
    : answers.has(records.service)
      ? records.addresses
      : [];
  return {
    shared,
    message: response(
      [...answers],
      helpful.filter((record) => !answers.has(record)),
    ),
  };
}

/** The answer as a plain resolver wants it: its id and question, short lifetimes, no cache-flush bits. */
export function legacyAnswer(query: DnsMessage, { message }: Answer): DnsMessage {
  const plain = ({ flush: _, ...record }: DnsRecord): DnsRecord => ({ ...record, ttl: legacyTtlSeconds });
  return {
    type: "response",
    ...(query.id === undefined ? {} : { id: query.id }),
    questions: query.questions.slice(0, 1),
    answers: message.answers.map(plain),
    additionals: message.additionals.map(plain),
  };
}

/** Everything about us, unasked. `ttl` 0 says goodbye. */
export function announce(announcement: Announcement, ttl?: number): DnsMessage {
  const { pointer, service, text, addresses } = announcementRecords(announcement, ttl);
  return response([pointer, service, text, ...addresses]);
}

/** Asks whether anybody holds our names, and says what we are about to claim (RFC 6762 §8.1, §8.2). */
export function probe(announcement: Announcement): DnsMessage {
  const { service, text, addresses } = announcementRecords(announcement);
  const claimed = [service, text, ...addresses].map(({ flush: _, ...record }) => record);
  const { instance } = announcement;
  return {
    type: "query",
    questions: [question(instanceName(instance), "ANY"), question(hostName(instance), "ANY")],
    answers: [],
    authorities: claimed,
    additionals: [],
  };
}

/** Whether `record` bears one of our names. */
export function isAboutUs({ name, data, type }: DnsRecord, { instance }: Announcement): boolean {
  if (type === "PTR") {
    return sameName(name, serviceType) && typeof data === "string" && sameName(data, instanceName(instance));
  }
  return sameName(name, instanceName(instance)) || sameName(name, hostName(instance));
}

/**
 * Whether `record` says of one of our names what we do not: somebody else holds it. What this machine says on its other
 * interfaces, and what a repeater makes of it, differs only in addresses, which `isOwnAddress` knows.
 */
export function contradicts(
  { name, type, data }: DnsRecord,
  { instance, port, bootId }: Announcement,
  isOwnAddress: (address: string) => boolean,
): boolean {
  if (sameName(name, instanceName(instance))) {
    if (type === "SRV") {
      const service = readService(data);
      return service?.port !== port || service.host !== hostName(instance).toLowerCase();
    }
    return type === "TXT" && readText(data)?.bootId !== bootId;
  }
  const address = type === "A" || type === "AAAA";
  return address && sameName(name, hostName(instance)) && !(typeof data === "string" && isOwnAddress(data));
}

/** Whether the asker holds `record` with at least half its life left. */
function isKnown(record: DnsRecord, known: readonly DnsRecord[]): boolean {
  return known.some(
    ({ name, type, ttl, data }) =>
      type === record.type && ttl >= recordTtlSeconds / 2 && sameName(name, record.name) && sameData(data, record.data),
  );
}

/** Pointers and addresses are what askers list; anything else is simply told again. */
function sameData(theirs: unknown, ours: unknown): boolean {
  return typeof theirs === "string" && typeof ours === "string" && sameName(theirs, ours);
}

function asked({ name, type }: DnsQuestion, records: AnnouncementRecords): readonly DnsRecord[] {
  const any = type === "ANY";
  if (sameName(name, serviceType)) return any || type === "PTR" ? [records.pointer] : [];
  if (sameName(name, serviceTypeList)) return any || type === "PTR" ? [records.typeList] : [];
  return [records.service, records.text, ...records.addresses].filter(
    (record) => sameName(record.name, name) && (any || record.type === type),
  );
}
