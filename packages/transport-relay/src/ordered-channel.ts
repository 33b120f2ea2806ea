/**
 * Order and reliability inside one encrypted connection. docs/spec/relay.md §7.
 *
 * A relay may drop what it has no room for. Every record but an ACK therefore has a sequence number, is kept until it is
 * acknowledged and sent again (sealed anew, under a new counter) after a drop. The receiver delivers in sequence, once.
 */
import { type Clock, type FedError, type Timer, toFedError } from "@fed/core";
import { RelayError } from "./errors.js";
import { decodePlaintext, encodePlaintext } from "./plaintext.js";
import type { RecordCipher } from "./record.js";

/** Types of records. */
export const recordType = {
  confirm: 0,
  accept: 1,
  dataMore: 2,
  dataLast: 3,
  ack: 4,
  close: 5,
  rekeyRequest: 6,
  rekeyAnswer: 7,
} as const;

/** Bytes of data that may be sent before the receiver grants more. Half of a relay's credit, so one connection never fills it. */
export const connectionWindowBytes = 524_288;

const ackEveryBytes = 65_536;
const ackDelayMs = 25;
const resendAfterMs = 3_000;
const maxResendBurst = 16;
const stalledAfterMs = 20_000;
const busyDelayMs = 50;
const maxBusyDelayMs = 2_000;
const maxHeldRecords = 4_096;
/** Fewer than the receiver holds, so that what is sent after a lost record never looks like a flood; the rest is for control. */
const maxUnacknowledgedRecords = 4_000;

/** What an ordered channel needs and tells. */
export interface OrderedChannelOptions {
  readonly cipher: RecordCipher;
  readonly clock: Clock;
  /** Hands a sealed record to the relay. */
  transmit(record: Uint8Array): void;
  /** One record, in sequence, exactly once. */
  deliver(type: number, body: Uint8Array): void;
  /** The queue or what is unacknowledged became smaller. */
  progress(): void;
  /** The channel cannot go on. */
  failed(error: FedError): void;
}

interface Unacknowledged {
  readonly sequence: number;
  readonly type: number;
  readonly body: Uint8Array;
}

/** Sends and receives the records of one connection. */
export interface OrderedChannel {
  /** Queues data, or a close, behind what is queued. */
  enqueue(type: number, body: Uint8Array): void;
  /** Sends at once, ahead of the queue and outside of credit. */
  sendNow(type: number, body: Uint8Array): void;
  /** One record from the relay. */
  receive(record: Uint8Array): void;
  /** The reader has taken this many bytes of data: grants as many more. */
  consumed(bytes: number): void;
  /** Tells the other side at once what has arrived. */
  acknowledge(): void;
  /** The relay dropped something. */
  dropped(): void;
  /** Forgets what is queued but not sent. */
  clearQueue(): void;
  /** Data bytes queued or not acknowledged yet. */
  readonly backlogBytes: number;
  /** Whether everything was acknowledged. */
  readonly settled: boolean;
  stop(): void;
}

/** A channel at its start: both sequences at zero and a full window in both directions. */
export function createOrderedChannel(options: OrderedChannelOptions): OrderedChannel {
  const { cipher, clock } = options;
  const queue: { type: number; body: Uint8Array }[] = [];
  const unacknowledged: Unacknowledged[] = [];
  const held = new Map<number, { type: number; body: Uint8Array }>();
  let nextToSend = 0;
  let nextToDeliver = 0;
  let sentDataBytes = 0;
  let creditLimit = connectionWindowBytes;
  let consumedBytes = 0;
  let arrivedDataBytes = 0;
  let backlogBytes = 0;
  let heldBytes = 0;
  let receivedSinceAck = 0;
  let lastProgressMs = 0;
  let busyMs = busyDelayMs;
  /** What was sent before a loss was found, and how far of that was sent again. */
  let recoverBelow = 0;
  let resentBelow = 0;
  let resendBurst = 1;
  let ackTimer: Timer | undefined;
  let resendTimer: Timer | undefined;
  let busyTimer: Timer | undefined;
  let stopped = false;

  function transmit(record: Unacknowledged): void {
    seal(record.type, record.sequence, record.body);
  }

  function seal(type: number, number: number, body: Uint8Array): void {
    const sealed = cipher.seal(encodePlaintext(type, number, body));
    if (sealed === undefined) {
      options.failed(new RelayError({ code: "REKEY_REQUIRED", message: "The record counters are used up." }));
    } else options.transmit(sealed);
  }

  function sendNow(type: number, body: Uint8Array): void {
    if (stopped) return;
    if (unacknowledged.length === 0) lastProgressMs = clock.monotonicMs();
    const record = { sequence: nextToSend++, type, body };
    unacknowledged.push(record);
    resendTimer ??= clock.setTimer(resendAfterMs, onResendTimer);
    transmit(record);
  }

  function pump(): void {
    while (!stopped && queue.length > 0) {
      const { type, body } = queue[0]!;
      const isFull = sentDataBytes + body.length > creditLimit || unacknowledged.length >= maxUnacknowledgedRecords;
      if (isFull && isData(type)) return;
      queue.shift();
      if (isData(type)) sentDataBytes += body.length;
      sendNow(type, body);
    }
  }

  function onResendTimer(): void {
    resendTimer = undefined;
    if (stopped || unacknowledged.length === 0) return;
    const waitedMs = clock.monotonicMs() - lastProgressMs;
    if (waitedMs >= stalledAfterMs) {
      options.failed(
        new RelayError({
          code: "RELAY_STALLED",
          message: "The other hub acknowledged nothing for 20 seconds.",
          retryable: true,
        }),
      );
      return;
    }
    const isDue = waitedMs >= resendAfterMs;
    resendTimer = clock.setTimer(isDue ? resendAfterMs : resendAfterMs - waitedMs, onResendTimer);
    if (!isDue) return;
    recoverBelow = nextToSend;
    resentBelow = 0;
    resendBurst = 1;
    resend();
  }

  /** After silence one record is sent again, then ever more with each sign that they arrive: not all, in case they did. */
  function resend(): void {
    let left = resendBurst;
    for (const record of unacknowledged) {
      if (left === 0 || record.sequence >= recoverBelow || stopped) return;
      if (record.sequence < resentBelow) continue;
      resentBelow = record.sequence + 1;
      left--;
      transmit(record);
    }
  }

  function acknowledge(): void {
    ackTimer?.cancel();
    ackTimer = undefined;
    receivedSinceAck = 0;
    if (stopped) return;
    const credit = new Uint8Array(8);
    new DataView(credit.buffer).setBigUint64(0, BigInt(consumedBytes + connectionWindowBytes));
    seal(recordType.ack, nextToDeliver, credit);
  }

  function acknowledgeSoon(bytes: number): void {
    if (stopped) return;
    receivedSinceAck += bytes;
    if (receivedSinceAck >= ackEveryBytes) acknowledge();
    else ackTimer ??= clock.setTimer(ackDelayMs, acknowledge);
  }

  function onAck(next: number, body: Uint8Array): void {
    if (body.length !== 8 || next > nextToSend) throw violation();
    const credit = new DataView(body.buffer, body.byteOffset, 8).getBigUint64(0);
    if (credit > BigInt(Number.MAX_SAFE_INTEGER)) throw violation();
    let moved = false;
    while (unacknowledged.length > 0 && unacknowledged[0]!.sequence < next) {
      const { type, body } = unacknowledged.shift()!;
      if (isData(type)) backlogBytes -= body.length;
      moved = true;
    }
    if (Number(credit) > creditLimit) creditLimit = Number(credit);
    if (moved) {
      lastProgressMs = clock.monotonicMs();
      busyMs = busyDelayMs;
      if (next < recoverBelow) {
        resendBurst = Math.min(2 * resendBurst, maxResendBurst);
        resend();
      }
    }
    if (unacknowledged.length === 0) {
      resendTimer?.cancel();
      resendTimer = undefined;
    }
    pump();
    options.progress();
  }

  function onSequenced(sequence: number, type: number, body: Uint8Array): void {
    if (sequence < nextToDeliver) {
      acknowledgeSoon(0);
      return;
    }
    if (sequence >= nextToDeliver + maxHeldRecords) throw violation();
    if (held.has(sequence)) return;
    if (sequence !== nextToDeliver && heldBytes + body.length > connectionWindowBytes) throw violation();
    if (isData(type)) arrivedDataBytes += body.length;
    // Credit binds: what the reader has not taken is kept, and a peer that sends on would fill the memory.
    if (arrivedDataBytes > consumedBytes + connectionWindowBytes) throw violation();
    acknowledgeSoon(body.length);
    if (sequence !== nextToDeliver) {
      held.set(sequence, { type, body });
      heldBytes += body.length;
      return;
    }
    if (stopped) return;
    nextToDeliver++;
    options.deliver(type, body);
    for (let next = held.get(nextToDeliver); next !== undefined && !stopped; next = held.get(nextToDeliver)) {
      held.delete(nextToDeliver++);
      heldBytes -= next.body.length;
      options.deliver(next.type, next.body);
    }
  }

  return {
    get backlogBytes() {
      return backlogBytes;
    },
    get settled() {
      return queue.length === 0 && unacknowledged.length === 0;
    },
    enqueue(type, body) {
      if (isData(type)) backlogBytes += body.length;
      queue.push({ type, body });
      pump();
    },
    sendNow,
    receive(record) {
      if (stopped) return;
      const plaintext = cipher.open(record);
      if (plaintext === undefined) return;
      try {
        const decoded = decodePlaintext(plaintext);
        if (decoded === undefined) throw violation();
        const { type, number, body } = decoded;
        if (type === recordType.ack) onAck(number, body);
        else onSequenced(number, type, body);
      } catch (error) {
        options.failed(toFedError(error));
      }
    },
    consumed(bytes) {
      consumedBytes += bytes;
      acknowledgeSoon(bytes);
    },
    acknowledge,
    dropped() {
      if (stopped || busyTimer !== undefined) return;
      busyTimer = clock.setTimer(busyMs, () => {
        busyTimer = undefined;
        for (const record of [...unacknowledged]) if (!stopped) transmit(record);
      });
      busyMs = Math.min(2 * busyMs, maxBusyDelayMs);
    },
    clearQueue() {
      for (const { type, body } of queue.splice(0)) if (isData(type)) backlogBytes -= body.length;
    },
    stop() {
      stopped = true;
      for (const timer of [ackTimer, resendTimer, busyTimer]) timer?.cancel();
      queue.length = 0;
      unacknowledged.length = 0;
      held.clear();
    },
  };
}

function isData(type: number): boolean {
  return type === recordType.dataMore || type === recordType.dataLast;
}

function violation(): RelayError {
  return new RelayError({ code: "PROTOCOL_ERROR", message: "The other hub broke the record protocol." });
}
