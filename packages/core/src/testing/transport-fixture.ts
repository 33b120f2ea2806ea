/** What the transport suite is given for each of its tests, and two hubs connected through it. */
import type { FedError } from "../errors.js";
import type { PeerIdentity } from "../identity.js";
import type { Connection, GuestDial, Listener, ListenHandler, Transport } from "../transport.js";
import type { RefusableAuthenticator } from "./refusable-authenticator.js";

/** One of the two hubs. */
export interface TransportSide {
  readonly transport: Transport;
  /** What the other side's authenticator makes of this hub. */
  readonly identity: PeerIdentity;
  /** The one handed to `transport`: `refusableAuthenticator(yours)`. */
  readonly authenticator: RefusableAuthenticator;
}

/** Two hubs that trust and can reach each other; made anew for each test. */
export interface TransportFixture {
  readonly a: TransportSide;
  readonly b: TransportSide;
  /** An address of the right form at which nobody is. */
  readonly unreachable: string;
  /** Where a listener of `b` can be dialled. Default its first address. */
  addressOf?(listener: Listener): string;
  /** How guests dial. Absent: the transport takes none. */
  readonly guestDial?: GuestDial;
  /** Releases what the fixture holds; connections and listeners are closed before. */
  close(): Promise<void>;
}

/** What a listener was told, and ways to wait for it. */
export interface Listening {
  readonly listener: Listener;
  readonly address: string;
  readonly connections: readonly Connection[];
  readonly guests: readonly Connection[];
  readonly refusals: readonly FedError[];
  nextConnection(): Promise<Connection>;
  nextGuest(): Promise<Connection>;
  nextRefusal(): Promise<FedError>;
}

/** A fixture that cleans up after itself, with the steps most tests begin with. */
export interface TransportBench extends TransportFixture {
  /** `b` listens (or `side`), with or without a door for guests. */
  listen(options?: { readonly guests?: boolean; readonly side?: TransportSide }): Promise<Listening>;
  /** `a` dials what `b` listens at: initiator, responder. */
  connect(listening?: Listening): Promise<readonly [Connection, Connection]>;
  /** Closes the connection at the end of the test. */
  track<C extends Connection>(connection: C): C;
}

/** Runs `test` with a fresh fixture and closes everything afterwards, whatever happens. */
export async function withBench(
  setup: () => Promise<TransportFixture>,
  test: (bench: TransportBench) => Promise<void>,
): Promise<void> {
  const fixture = await setup();
  const connections: Connection[] = [];
  const listeners: Listener[] = [];

  function track<C extends Connection>(connection: C): C {
    connections.push(connection);
    return connection;
  }

  async function listen(options: { guests?: boolean; side?: TransportSide } = {}): Promise<Listening> {
    const accepted = createQueue<Connection>();
    const guests = createQueue<Connection>();
    const refused = createQueue<FedError>();
    const handler: ListenHandler = {
      connection: (connection) => accepted.push(track(connection)),
      refused: (_remoteAddress, error) => refused.push(error),
      ...(options.guests ? { guest: (connection: Connection) => guests.push(track(connection)) } : {}),
    };
    const listener = await (options.side ?? fixture.b).transport.listen(handler);
    listeners.push(listener);
    return {
      listener,
      address: fixture.addressOf?.(listener) ?? listener.addresses[0]!,
      connections: accepted.items,
      guests: guests.items,
      refusals: refused.items,
      nextConnection: accepted.next,
      nextGuest: guests.next,
      nextRefusal: refused.next,
    };
  }

  const bench: TransportBench = {
    ...fixture,
    track,
    listen,
    async connect(listening) {
      const { address, nextConnection } = listening ?? (await listen());
      const [initiator, responder] = await Promise.all([fixture.a.transport.dial(address), nextConnection()]);
      return [track(initiator), responder];
    },
  };
  try {
    await test(bench);
  } finally {
    for (const connection of connections) connection.close();
    for (const listener of listeners) await listener.close();
    await fixture.close();
  }
}

/** Items in the order they came; each `next` waits for the one after. */
function createQueue<T>(): { items: readonly T[]; push(item: T): void; next(): Promise<T> } {
  const items: T[] = [];
  const waiting: ((item: T) => void)[] = [];
  let read = 0;
  return {
    items,
    push(item) {
      items.push(item);
      if (waiting.length > 0) {
        read++;
        waiting.shift()!(item);
      }
    },
    next: () =>
      read < items.length ? Promise.resolve(items[read++]!) : new Promise((resolve) => waiting.push(resolve)),
  };
}
