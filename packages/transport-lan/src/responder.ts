/** Which of our records answer a question (RFC 6762 §6, §7.1). */
import {
  type Announcement,
  type AnnouncementRecords,
  announcementRecords,
  type DnsMessage,
  type DnsQuestion,
  type DnsRecord,
  instanceName,
  recordTtlSeconds,
  sameName,
  serviceType,
  serviceTypeList,
} from "./dns-records.js";

/** An answer and whether others may answer the same, so that it must be delayed a little. */
export interface Answer {
  readonly message: DnsMessage;
  readonly shared: boolean;
}

/** Longest lifetime in an answer to somebody who does not keep a multicast cache, seconds (RFC 6762 §6.7). */
const legacyTtlSeconds = 10;
const maxQuestions = 32;

/** The answer to `query`; undefined when nothing of ours is asked for, or the asker knows it already. */
export function answerTo(query: DnsMessage, announcement: Announcement): Answer | undefined {
  const records = announcementRecords(announcement);
  const answers = new Set<DnsRecord>();
  for (const question of query.questions.slice(0, maxQuestions)) {
    for (const record of asked(question, records)) answers.add(record);
  }
  const known = query.answers.some(
    ({ type, ttl, data }) =>
      type === "PTR" &&
      typeof data === "string" &&
      sameName(data, instanceName(announcement.instance)) &&
      ttl >= recordTtlSeconds / 2,
  );
  if (known) answers.delete(records.pointer);
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
  return response([pointer, service, text, ...addresses], []);
}

function asked({ name, type }: DnsQuestion, records: AnnouncementRecords): readonly DnsRecord[] {
  const any = type === "ANY";
  if (sameName(name, serviceType)) return any || type === "PTR" ? [records.pointer] : [];
  if (sameName(name, serviceTypeList)) return any || type === "PTR" ? [records.typeList] : [];
  return [records.service, records.text, ...records.addresses].filter(
    (record) => sameName(record.name, name) && (any || record.type === type),
  );
}

function response(answers: readonly DnsRecord[], additionals: readonly DnsRecord[]): DnsMessage {
  return { type: "response", questions: [], answers, additionals };
}
