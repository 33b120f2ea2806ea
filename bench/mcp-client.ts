/** The load on one MCP endpoint: raw connections, requests built beforehand, every answer checked. */
import {
  type EventStream,
  formatRequest,
  type HttpAnswer,
  type HttpConnection,
  openEventStream,
  openHttpConnection,
} from "./http-connection.ts";
import type { Sample } from "./load.ts";
import {
  checkAnswer,
  headersOf,
  isEcho,
  type McpTarget,
  type PreparedCall,
  prepareCall,
  prepareInitialize,
} from "./mcp-target.ts";
import { createRandom, randomText } from "./random.ts";

const maxInFlight = 32;
/** Each connection sends its own calls in turn, so that no two that are in flight are alike. */
const callsPerConnection = 64;
const payloadBytes = 256;
const waitMs = 20_000;

/** A client of one endpoint. */
export interface McpClient {
  /** Calls for a while, `inFlight` calls at any time, each on a connection of its own. */
  load(options: { readonly inFlight: number; readonly durationMs: number }): Promise<Sample>;
  /** Closes the connections until the next load: a server would close them for being idle. */
  rest(): void;
  close(): void;
}

/** A conversation as the target's revision has it; 2026-07-28 has none. */
interface Session {
  /** Where calls are sent. */
  readonly url: string;
  readonly id?: string | undefined;
  readonly stream?: EventStream;
}

/** Opens a session where the revision has one. @throws {Error} when an answer is not what it must be, then or in a load. */
export async function openMcpClient(target: McpTarget, seed: number): Promise<McpClient> {
  /** Who waits for the message with this id on the event stream. */
  const waiting = new Map<number, (message: string) => void>();
  let fail: (error: Error) => void = () => {};
  const session = await openSession(target, waiting, (error) => fail(error));
  const random = createRandom(seed);
  const calls = Array.from({ length: maxInFlight }, (_, slot) =>
    Array.from({ length: callsPerConnection }, (_, i) =>
      prepareCall(target, {
        id: 1 + slot * callsPerConnection + i,
        text: randomText(payloadBytes, random),
        url: session.url,
        session: session.id,
      }),
    ),
  );
  let connections: HttpConnection[] = [];

  /** `done` is called when the call's result has come, and the answer to its request. */
  function send(connection: HttpConnection, { id, text, request }: PreparedCall, done: () => void): void {
    const { stream } = session;
    let awaited = stream ? 2 : 1;
    const arrived = (check: () => void) => {
      try {
        check();
        if (--awaited === 0) done();
      } catch (error) {
        fail(error as Error);
      }
    };
    if (stream) {
      waiting.set(id, (message) =>
        arrived(() => {
          waiting.delete(id);
          if (!isEcho(message, text)) throw new Error(`Unexpected message: ${message.slice(0, 500)}`);
        }),
      );
    }
    connection.exchange(request, (answer) =>
      arrived(() => checkAnswer(answer, stream ? 202 : 200, stream !== undefined || isEcho(answer.body, text))),
    );
  }

  function rest(): void {
    for (const connection of connections) connection.close();
    connections = [];
  }

  return {
    async load({ inFlight, durationMs }) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      fail = reject;
      while (connections.length < inFlight) {
        connections.push(await openHttpConnection(new URL(session.url), (error) => fail(error)));
      }
      const latenciesMs: number[] = [];
      let running = inFlight;
      const startMs = performance.now();
      function keepCalling(slot: number, turn: number): void {
        const atMs = performance.now();
        send(connections[slot]!, calls[slot]![turn % callsPerConnection]!, () => {
          const doneMs = performance.now();
          latenciesMs.push(doneMs - atMs);
          if (doneMs - startMs < durationMs) keepCalling(slot, turn + 1);
          else if (--running === 0) resolve();
        });
      }
      for (let slot = 0; slot < inFlight; slot++) keepCalling(slot, 0);
      await promise;
      return { latenciesMs, elapsedMs: performance.now() - startMs };
    },
    rest,
    close() {
      rest();
      session.stream?.close();
    },
  };
}

async function openSession(
  target: McpTarget,
  waiting: Map<number, (message: string) => void>,
  failed: (error: Error) => void,
): Promise<Session> {
  if (target.revision === "2026-07-28") return { url: target.url };
  const { initialize, initialized } = prepareInitialize(target);
  if (target.revision === "2025-11-25") {
    const url = new URL(target.url);
    const answer = await post(url, headersOf(target, undefined), initialize);
    checkAnswer(answer, 200, answer.body.includes('"protocolVersion":"2025-11-25"'));
    const id = /\r\nmcp-session-id: *(\S+)/i.exec(answer.head)?.[1];
    checkAnswer(await post(url, headersOf(target, id), initialized), 202);
    return { url: target.url, id };
  }
  const endpoint = Promise.withResolvers<string>();
  const opened = Promise.withResolvers<void>();
  waiting.set(0, () => opened.resolve());
  const stream = await openEventStream(
    new URL(target.url),
    formatRequest("GET", new URL(target.url), { accept: "text/event-stream" }),
    {
      failed(error) {
        endpoint.reject(error);
        opened.reject(error);
        failed(error);
      },
      event(data) {
        // The first event tells where to send; all others are messages.
        if (data.startsWith("{")) waiting.get((JSON.parse(data) as { id: number }).id)?.(data);
        else endpoint.resolve(data);
      },
    },
  );
  const url = new URL(await endpoint.promise, target.url);
  checkAnswer(await post(url, headersOf(target, undefined), initialize), 202);
  await opened.promise;
  checkAnswer(await post(url, headersOf(target, undefined), initialized), 202);
  return { url: url.href, stream };
}

/** One request on a connection of its own. */
async function post(url: URL, headers: Readonly<Record<string, string>>, body: string): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const timer = setTimeout(() => reject(new Error(`${url.href} did not answer in ${waitMs / 1000} s.`)), waitMs);
  const connection = await openHttpConnection(url, reject);
  try {
    connection.exchange(formatRequest("POST", url, headers, body), resolve);
    return await promise;
  } finally {
    clearTimeout(timer);
    connection.close();
  }
}
