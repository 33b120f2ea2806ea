/** What the session suite is given for each of its tests, and a way to meet the streams a peer opens. */
import type { FedError } from "../errors.js";
import type { PeerIdentity } from "../identity.js";
import type { Session, SessionHandler, Stream } from "../session.js";

/** The handlers that the two sessions of a fixture must be made with. */
export interface SessionHandlers {
  readonly initiator: SessionHandler;
  readonly responder: SessionHandler;
}

/** Two sessions that talk to each other; made anew for each test. */
export interface SessionFixture {
  readonly initiator: Session;
  readonly responder: Session;
  /** Who the initiator must find at the other end, and who the responder. */
  readonly initiatorIdentity: PeerIdentity;
  readonly responderIdentity: PeerIdentity;
  /** Releases what the fixture holds besides the sessions, which are closed before. */
  close?(): Promise<void>;
}

/** A fixture with the streams that were opened towards each side. */
export interface SessionBench extends SessionFixture {
  /** Both ends of a new stream: the opener's, the other's. Opened by the initiator unless told otherwise. */
  openPair(opener?: "initiator" | "responder"): Promise<readonly [Stream, Stream]>;
  /** From now on `serve` gets the streams that the initiator opens. */
  serve(serve: SessionHandler["stream"]): void;
}

/** Runs `test` with a fresh fixture and closes everything afterwards, whatever happens. */
export async function withSessions(
  setup: (handlers: SessionHandlers) => Promise<SessionFixture>,
  test: (bench: SessionBench) => Promise<void>,
): Promise<void> {
  const atInitiator = createAcceptor();
  const atResponder = createAcceptor();
  const fixture = await setup({ initiator: atInitiator, responder: atResponder });
  try {
    await test({
      ...fixture,
      serve: atResponder.serve,
      async openPair(opener = "initiator") {
        const [session, acceptor] =
          opener === "initiator" ? [fixture.initiator, atResponder] : [fixture.responder, atInitiator];
        const accepted = acceptor.next();
        return [session.open(new Uint8Array(1)), await accepted];
      },
    });
  } finally {
    fixture.initiator.close();
    fixture.responder.close();
    await fixture.close?.();
  }
}

interface Acceptor extends SessionHandler {
  next(): Promise<Stream>;
  serve(serve: SessionHandler["stream"]): void;
}

function createAcceptor(): Acceptor {
  const waiting: ((stream: Stream) => void)[] = [];
  let serve: SessionHandler["stream"] = () => {};
  return {
    stream(stream) {
      const next = waiting.shift();
      return next ? next(stream) : serve(stream);
    },
    next: () => new Promise((resolve) => waiting.push(resolve)),
    serve(given) {
      serve = given;
    },
  };
}

/** All messages until the peer ends its direction. */
export async function receiveAll(stream: Stream): Promise<Uint8Array[]> {
  const messages: Uint8Array[] = [];
  for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
    messages.push(message);
  }
  return messages;
}

/** Sends every message back and ends when the peer does. */
export async function echo(stream: Stream): Promise<FedError | undefined> {
  for (let message = await stream.receive(); message !== undefined; message = await stream.receive()) {
    await stream.send(message);
  }
  stream.end();
  return stream.closed;
}
