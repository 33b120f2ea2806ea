/** The part of the Cloudflare Workers runtime that this host uses, as types; it is there under workerd and nowhere else. */

/** The server's end of a WebSocket that a Durable Object has accepted; it outlives the object's memory. */
export interface HibernatingWebSocket {
  accept(): void;
  send(data: string | Uint8Array): void;
  close(code: number, reason: string): void;
  /** Keeps a structured clone of at most 16,384 bytes beside the socket. */
  serializeAttachment(value: unknown): void;
  deserializeAttachment(): unknown;
}

/** What a Durable Object gets as its first argument. */
export interface DurableObjectState {
  readonly id: { readonly name?: string };
  acceptWebSocket(socket: HibernatingWebSocket): void;
  getWebSockets(): HibernatingWebSocket[];
  /** Answers this text without waking the object. */
  setWebSocketAutoResponse(pair: unknown): void;
  getWebSocketAutoResponseTimestamp(socket: HibernatingWebSocket): Date | null;
}

/** The Durable Objects of one class. */
export interface DurableObjectNamespace {
  idFromName(name: string): unknown;
  get(id: unknown): { fetch(request: Request): Promise<Response> };
}

/** What the runtime adds to the global object. */
interface WorkersGlobals {
  readonly WebSocketPair: new () => { 0: unknown; 1: HibernatingWebSocket };
  readonly WebSocketRequestResponsePair: new (request: string, response: string) => unknown;
}

const globals = globalThis as unknown as WorkersGlobals;

/** Both ends of a new WebSocket: the client's goes into {@link upgradeResponse}. */
export function createWebSocketPair(): { client: unknown; server: HibernatingWebSocket } {
  const { 0: client, 1: server } = new globals.WebSocketPair();
  return { client, server };
}

/** What {@link DurableObjectState.setWebSocketAutoResponse} takes. */
export function createAutoResponse(request: string, response: string): unknown {
  return new globals.WebSocketRequestResponsePair(request, response);
}

/** The answer that hands `client` to who asked. */
export function upgradeResponse(client: unknown, subprotocol: string): Response {
  const init = { status: 101, webSocket: client, headers: { "sec-websocket-protocol": subprotocol } };
  return new Response(null, init as ResponseInit);
}
