/** What the nodes of one relay talk over: NATS core. It may lose what it carries; the sessions above do not. */
import { RelayHostError } from "./errors.js";

/** Publishes to subjects and hears them. */
export interface NodeBus {
  /** Whether what is published now is likely to arrive. */
  readonly isConnected: boolean;
  publish(subject: string, bytes: Uint8Array): void;
  /** Calls `heard` for every message but one's own; returns how to stop. */
  subscribe(subject: string, heard: (bytes: Uint8Array) => void): () => void;
  /** Settles when all that was published has left this process; rejects when the bus is gone. */
  flush(): Promise<void>;
  /** Calls `back` after every reconnection. */
  onReconnect(back: () => void): void;
  close(): Promise<void>;
}

/**
 * Joins the NATS server at `url`: `nats://` or `tls://`, `user:password@` or `token@` if it asks for one.
 * @throws {RelayHostError} NATS_NOT_INSTALLED, NATS_UNREACHABLE.
 */
export async function connectNodeBus(url: string, log: (line: string) => void): Promise<NodeBus> {
  const { connect } = await loadNats();
  const connection = await connect(connectOptions(url)).catch((cause: unknown) => {
    throw new RelayHostError({
      code: "NATS_UNREACHABLE",
      message: "The NATS server does not let this relay in.",
      hint: "Is --nats its address, for example nats://user:password@10.0.0.5:4222?",
      cause,
    });
  });
  let isConnected = true;
  const listeners: (() => void)[] = [];
  void (async () => {
    for await (const { type } of connection.status()) {
      if (type === "disconnect") {
        isConnected = false;
        log("nats: connection lost");
      } else if (type === "reconnect") {
        isConnected = true;
        log("nats: connected again");
        for (const back of listeners) back();
      }
    }
  })();
  return {
    get isConnected() {
      return isConnected;
    },
    publish: (subject, bytes) => connection.publish(subject, bytes),
    subscribe(subject, heard) {
      const subscription = connection.subscribe(subject, {
        callback(error, { data }) {
          if (error === null) heard(data);
        },
      });
      return () => subscription.unsubscribe();
    },
    flush: () => connection.flush(),
    onReconnect: (back) => void listeners.push(back),
    close: () => connection.close(),
  };
}

function connectOptions(url: string) {
  const { protocol, host, username, password } = new URL(url);
  const [user, pass] = [decodeURIComponent(username), decodeURIComponent(password)];
  return {
    servers: host,
    ...(protocol === "tls:" && { tls: {} }),
    ...(pass !== "" ? { user, pass } : user !== "" && { token: user }),
    noEcho: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 500,
    timeout: 5_000,
  };
}

/** Only who runs several nodes needs it, so it is not installed with the relay. */
async function loadNats() {
  try {
    return await import("@nats-io/transport-node");
  } catch (cause) {
    throw new RelayHostError({
      code: "NATS_NOT_INSTALLED",
      message: "Several nodes that share NATS need its client.",
      hint: "npm install @nats-io/transport-node",
      cause,
    });
  }
}
