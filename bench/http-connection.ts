/** HTTP/1.1 over one kept connection, prebuilt bytes out, status and body in: as little work as a client can do. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** What came back. */
export interface HttpAnswer {
  readonly status: number;
  /** Status line and headers. */
  readonly head: string;
  /** Without chunk framing; text that is not ASCII stays undecoded. */
  readonly body: string;
}

/** An open connection: one exchange at a time. */
export interface HttpConnection {
  /** Sends a whole request; `answered` is called with the answer to it. */
  exchange(request: Uint8Array | string, answered: (answer: HttpAnswer) => void): void;
  close(): void;
}

/** Connects. `failed` hears of everything after which no answer can come. */
export async function openHttpConnection(url: URL, failed: (error: Error) => void): Promise<HttpConnection> {
  const socket = await openSocket(url);
  let received = "";
  let waiting: ((answer: HttpAnswer) => void) | undefined;
  let closed = false;
  socket.on("data", (chunk) => {
    received += chunk.toString("latin1");
    const read = readAnswer(received);
    if (!read) return;
    received = received.slice(read.length);
    const answered = waiting;
    waiting = undefined;
    if (answered) answered(read.answer);
    else failed(new Error("The server answered what nobody asked."));
  });
  socket.on("error", failed);
  socket.on("close", () => {
    if (!closed) failed(new Error(`${url.host} closed the connection${waiting ? " before it answered" : ""}.`));
  });
  return {
    exchange(request, answered) {
      waiting = answered;
      socket.write(request);
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

/** An event stream: `event` is called with the data of each event. */
export interface EventStream {
  close(): void;
}

/** Sends `request` and reads the events of the answer, which does not end. */
export async function openEventStream(
  url: URL,
  request: string,
  options: { readonly event: (data: string) => void; readonly failed: (error: Error) => void },
): Promise<EventStream> {
  const socket = await openSocket(url);
  let received = "";
  let closed = false;
  socket.on("data", (chunk) => {
    // Chunk sizes and headers stand between the events and are no `data:` line.
    const lines = (received + chunk.toString("latin1")).split("\n");
    received = lines.pop()!;
    for (const line of lines) if (line.startsWith("data: ")) options.event(line.slice(6).trimEnd());
  });
  socket.on("error", options.failed);
  socket.on("close", () => {
    if (!closed) options.failed(new Error(`${url.host} ended its event stream.`));
  });
  socket.write(request);
  return {
    close() {
      closed = true;
      socket.destroy();
    },
  };
}

/** A request as bytes on the wire. */
export function formatRequest(
  method: "GET" | "POST",
  url: URL,
  headers: Readonly<Record<string, string>>,
  body = "",
): string {
  const all = { host: url.host, ...headers, ...(method === "POST" && { "content-length": Buffer.byteLength(body) }) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n${body}`;
}

async function openSocket(url: URL): Promise<Socket> {
  const socket = connect({ host: url.hostname, port: Number(url.port), noDelay: true });
  await once(socket, "connect");
  return socket;
}

/** The first answer in `text` and how long it is there; undefined as long as it is not whole. */
function readAnswer(text: string): { answer: HttpAnswer; length: number } | undefined {
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const head = text.slice(0, headEnd);
  const status = Number(head.slice(9, 12));
  const bodyStart = headEnd + 4;
  const sized = /\r\ncontent-length: *(\d+)/i.exec(head);
  if (!sized && /\r\ntransfer-encoding: *chunked/i.test(head)) {
    const read = readChunks(text, bodyStart);
    return read && { answer: { status, head, body: read.body }, length: read.end };
  }
  const end = bodyStart + Number(sized?.[1] ?? 0);
  if (text.length < end) return undefined;
  return { answer: { status, head, body: text.slice(bodyStart, end) }, length: end };
}

function readChunks(text: string, start: number): { body: string; end: number } | undefined {
  let body = "";
  for (let at = start; ; ) {
    const sizeEnd = text.indexOf("\r\n", at);
    if (sizeEnd < 0) return undefined;
    const size = Number.parseInt(text.slice(at, sizeEnd), 16);
    const dataEnd = sizeEnd + 2 + size;
    if (text.length < dataEnd + 2) return undefined;
    if (size === 0) return { body, end: dataEnd + 2 };
    body += text.slice(sizeEnd + 2, dataEnd);
    at = dataEnd + 2;
  }
}
