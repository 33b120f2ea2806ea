/**
 * One cluster's relay as a Durable Object around the relay core of `@fed/transport-relay`.
 *
 * Idle, the object leaves memory while its sockets stay open. What the core needs of a socket is attached to it, so the
 * constructor rebuilds the core; keepalives are answered without waking. The only timer runs while somebody awaits admission.
 * Forwarding is synchronous: an `await` before a send would lose the order.
 */
import {
  closeCode,
  clusterTag,
  createRelayCore,
  defaultRelayLimits,
  keepalive,
  type RelayCore,
  type RelayLimits,
  type RelayPlace,
  type RelaySocket,
  relaySubprotocol,
} from "@fed/transport-relay/core";
import { admissionKeysOf, originOf, type WorkerSettings } from "./worker-settings.js";
import {
  createAutoResponse,
  createWebSocketPair,
  type DurableObjectState,
  type HibernatingWebSocket,
  upgradeResponse,
} from "./workers-runtime.js";

/** A hub sends a keepalive every 25 s; three missed, and nobody is there: the runtime does not notice by itself. */
const silentMs = 90_000;

/** Below what Cloudflare lets one object do, so that hubs are told to slow down before requests fail. */
const durableRelayLimits: RelayLimits = {
  ...defaultRelayLimits,
  socketMessages: { perSecond: 400, burst: 800 },
  clusterMessages: { perSecond: 800, burst: 1_600 },
};

/** What is attached to an admitted socket. */
interface Attachment {
  readonly place: RelayPlace;
  /** When it was admitted. */
  readonly sinceMs: number;
}

/** The Durable Object of one cluster; its name is the cluster's tag. */
export class DurableRelay {
  readonly #state: DurableObjectState;
  readonly #core: RelayCore;
  readonly #sockets = new Map<HibernatingWebSocket, DurableSocket>();
  /** Host names under which this object was reached since it is in memory. */
  readonly #origins: string[] = [];

  constructor(state: DurableObjectState, settings: WorkerSettings) {
    this.#state = state;
    state.setWebSocketAutoResponse(createAutoResponse(keepalive.ping, keepalive.pong));
    // Another cluster's token, however valid, belongs to another object.
    const keys = admissionKeysOf(settings).filter((key) => clusterTag(key) === state.id.name);
    this.#core = createRelayCore({
      admissionKeys: () => keys,
      origin: this.#origins,
      limits: { ...durableRelayLimits, ...settings.LIMITS },
    });
    for (const socket of state.getWebSockets()) this.#takeBack(socket);
  }

  /** The Worker's request: an upgrade whose token it has verified. */
  fetch(request: Request): Response {
    const origin = originOf(request);
    if (!this.#origins.includes(origin)) this.#origins.push(origin);
    this.#endSilent();
    const { client, server } = createWebSocketPair();
    this.#state.acceptWebSocket(server);
    const socket = new DurableSocket(server);
    this.#sockets.set(server, socket);
    this.#core.open(socket);
    return upgradeResponse(client, relaySubprotocol);
  }

  webSocketMessage(server: HibernatingWebSocket, message: ArrayBuffer | string): void {
    const socket = this.#sockets.get(server);
    if (socket === undefined) return;
    if (typeof message === "string") {
      this.#core.closed(socket);
      socket.close(closeCode.malformed, "FRAME_MALFORMED");
      return;
    }
    this.#core.message(socket, new Uint8Array(message));
    socket.keep();
  }

  webSocketClose(server: HibernatingWebSocket): void {
    this.#forget(server);
  }

  webSocketError(server: HibernatingWebSocket): void {
    this.#forget(server);
  }

  #forget(server: HibernatingWebSocket): void {
    const socket = this.#sockets.get(server);
    this.#sockets.delete(server);
    if (socket !== undefined) this.#core.closed(socket);
  }

  #takeBack(server: HibernatingWebSocket): void {
    const attachment = server.deserializeAttachment() as Attachment | null;
    if (attachment === null) {
      server.close(closeCode.admissionTimeout, "ADMISSION_TIMEOUT");
      return;
    }
    const socket = new DurableSocket(server, attachment);
    this.#sockets.set(server, socket);
    this.#core.restore(socket, attachment.place);
  }

  #endSilent(): void {
    const beforeMs = Date.now() - silentMs;
    for (const [server, { sinceMs }] of this.#sockets) {
      const heardMs = this.#state.getWebSocketAutoResponseTimestamp(server)?.getTime() ?? sinceMs;
      if (heardMs >= beforeMs) continue;
      this.#forget(server);
      server.close(closeCode.slowReader, "RELAY_SLOW_READER retry-after=5");
    }
  }
}

/** A socket as the core sees it. */
class DurableSocket implements RelaySocket {
  readonly #server: HibernatingWebSocket;
  #attachment: Attachment | undefined;
  #keptBytes = -1;

  constructor(server: HibernatingWebSocket, attachment?: Attachment) {
    this.#server = server;
    this.#attachment = attachment;
  }

  get sinceMs(): number {
    return this.#attachment?.sinceMs ?? Number.POSITIVE_INFINITY;
  }

  send(bytes: Uint8Array): void {
    try {
      this.#server.send(bytes);
    } catch {
      // It is closing; the runtime tells so in a moment.
    }
    this.keep();
  }

  close(code: number, reason: string): void {
    this.#attachment = undefined;
    this.#server.close(code, reason);
  }

  admitted(place: RelayPlace): void {
    this.#attachment = { place, sinceMs: Date.now() };
    this.keep();
  }

  /** Writes the place down as it is now: the object may leave memory after any message. */
  keep(): void {
    if (this.#attachment === undefined) return;
    const { sentBytes, ackedBytes } = this.#attachment.place;
    // Both only grow, so their sum tells whether either did.
    if (sentBytes + ackedBytes === this.#keptBytes) return;
    this.#keptBytes = sentBytes + ackedBytes;
    this.#server.serializeAttachment(this.#attachment);
  }
}
