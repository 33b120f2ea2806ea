/**
 * The connection of a join, read message by message. A small message is one JSON object; a document of any length up to
 * {@link maxWelcomeBytes} follows its announcement in parts, because a guest's connection carries short messages only.
 */
import { abortedError, type Connection, encodeUtf8, type FedError, isFedError } from "@fed/core";
import { PairingError } from "./errors.js";
import {
  type JoinMessage,
  malformed,
  maxWelcomeBytes,
  parseObject,
  readRefused,
  refusedMessage,
} from "./join-message.js";

/** Largest message of a join, bytes. Every part of a document but the last has exactly this length. */
export const partBytes = 32 * 1024;

/** Most messages that wait to be read, and so most memory: a joiner's turn, and a whole document with its company. */
export const maxWaitingAtIssuer = 2;
export const maxWaitingAtJoiner = maxWelcomeBytes / partBytes + 2;

/**
 * See the module header. Reading and sending throw what ended the exchange: the signal's reason, JOIN_MALFORMED,
 * JOIN_BROKEN_OFF when the other side hung up, or the {@link PeerError} it refused with.
 */
export interface JoinChannel {
  /** Throws what has ended the exchange, if anything has. */
  assertOpen(): void;
  send(message: JoinMessage): void;
  /** Announces `document` as `t` and sends it, as fast as the other side takes it. */
  sendDocument(t: string, document: Uint8Array): Promise<void>;
  /** The next message, which must be a `t`. */
  receive(t: string): Promise<JoinMessage>;
  receiveDocument(t: string): Promise<Uint8Array>;
  /** Tells the other side why, if it can be told, and closes. Idempotent, also with {@link close}. */
  refuse(error: FedError): void;
  /** Closes after what was sent. Idempotent. */
  close(): void;
}

/** Options of {@link openJoinChannel}. */
export interface JoinChannelOptions {
  /** Ends the exchange; its reason is what reading and sending then throw. */
  readonly signal: AbortSignal;
  /** More messages than this that nobody has read are an attack. */
  readonly maxWaiting: number;
}

/** Starts `connection`, which carries nothing but one join. */
export function openJoinChannel(connection: Connection, { signal, maxWaiting }: JoinChannelOptions): JoinChannel {
  const waiting: Uint8Array[] = [];
  /** Ours, and at once. */
  let failure: FedError | undefined;
  /** Theirs, and after what they sent before. */
  let ended: FedError | undefined;
  let wake: (() => void) | undefined;
  let insideDocument = false;
  /** The other side has refused, and waits for no word of ours. */
  let isRefused = false;
  let closed = false;

  function fail(error: FedError): void {
    failure ??= error;
    waiting.length = 0;
    wake?.();
  }
  const onAbort = () => fail(abortedError(signal));

  connection.start({
    message(bytes) {
      if (failure || closed) return;
      if (bytes.length > partBytes) fail(malformed("A message is too large."));
      else if (waiting.length >= maxWaiting) fail(malformed("Too many messages at once."));
      else {
        waiting.push(bytes);
        wake?.();
      }
    },
    closed(error) {
      ended = brokenOff(error);
      wake?.();
    },
  });
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });

  function assertOpen(): void {
    const over = failure ?? ended;
    if (over) throw over;
  }

  async function next(): Promise<Uint8Array> {
    for (;;) {
      if (failure) throw failure;
      const bytes = waiting.shift();
      if (bytes) return bytes;
      if (ended) throw ended;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  /** @returns whether more may be sent at once. */
  function sendBytes(bytes: Uint8Array): boolean {
    assertOpen();
    try {
      return connection.send(bytes);
    } catch (cause) {
      throw isFedError(cause) && cause.code === "CLOSED" ? brokenOff(cause) : cause;
    }
  }

  async function receive(t: string): Promise<JoinMessage> {
    const message = parseObject(await next(), partBytes);
    if (message.t === "refused") {
      const refusal = readRefused(message as JoinMessage);
      isRefused = true;
      throw refusal;
    }
    if (message.t !== t) throw malformed(`A message other than ${t} came.`);
    return message as JoinMessage;
  }

  function close(): void {
    if (closed) return;
    closed = true;
    signal.removeEventListener("abort", onAbort);
    connection.close();
  }

  return {
    assertOpen,
    receive,
    close,
    send(message) {
      sendBytes(encodeUtf8(JSON.stringify(message)));
    },
    async sendDocument(t, document) {
      this.send({ t, bytes: document.length });
      insideDocument = true;
      for (let from = 0; from < document.length; from += partBytes) {
        if (sendBytes(document.slice(from, from + partBytes))) continue;
        await new Promise<void>((resolve) => {
          wake = resolve;
          connection.drained().then(resolve, resolve);
        });
      }
      insideDocument = false;
    },
    async receiveDocument(t) {
      const { bytes: length, ...rest } = await receive(t);
      if (typeof length !== "number" || !Number.isInteger(length) || length < 1 || length > maxWelcomeBytes) {
        throw malformed(`A ${t} is announced with a wrong length.`);
      }
      if (Object.keys(rest).length > 1) throw malformed("A message has unknown members.");
      const parts: Uint8Array[] = [];
      for (let left = length; left > 0; left -= partBytes) {
        const part = await next();
        if (part.length !== Math.min(left, partBytes)) throw malformed("A part has a wrong length.");
        parts.push(part);
      }
      return joined(parts, length);
    },
    refuse(error) {
      if (closed) return;
      if (!ended && !insideDocument && !isRefused) {
        try {
          connection.send(encodeUtf8(JSON.stringify(refusedMessage(error))));
        } catch {
          // The connection is gone already; there is nobody left to tell.
        }
      }
      // What a document lacks would be waited for: break it off visibly.
      if (insideDocument) connection.close(error);
      close();
    },
  };
}

function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const document = new Uint8Array(length);
  parts.forEach((part, i) => {
    document.set(part, i * partBytes);
  });
  return document;
}

function brokenOff(cause: FedError | undefined): PairingError {
  return new PairingError({
    code: "JOIN_BROKEN_OFF",
    message: "The other side hung up before the join was finished.",
    hint: "Try again; if the token was used meanwhile, ask for a new one with `fed invite`.",
    cause,
  });
}
