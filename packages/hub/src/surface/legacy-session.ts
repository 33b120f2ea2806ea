/**
 * Sessions of MCP up to 2025-11-25. The session id itself says, sealed, what the client declared when it began, so a session
 * needs nobody to remember it and outlives a restart of the hub; only what is under way is held in memory.
 */
import { randomUUID } from "node:crypto";
import { type Clock, type FedError, LiveMap, type Store } from "@fed/core";
import { isObject, type RequestId } from "../mcp/json-rpc.js";
import type { Seal } from "../seal.js";
import { createSessionRecords, type SessionSettings } from "./session-records.js";

/** A client that comes back later begins anew. */
const sessionMs = 30 * 24 * 60 * 60_000;
/** Sessions with something in memory; the one unused for longest makes room. */
const maxSessions = 4096;
const maxSubscriptions = 256;
const maxUriChars = 2048;
/** Session ids travel in a header; a client that declares more than fits is served without it. */
const maxIdChars = 6 * 1024;

/** What a client said when it began. */
export interface LegacyClient {
  readonly protocolVersion: string;
  readonly capabilities: Record<string, unknown>;
  readonly clientInfo: Record<string, unknown> | undefined;
}

/** One client's session with one endpoint. */
export class LegacySession {
  readonly client: LegacyClient;
  /** The client's requests under way, to be cancelled by their ids. */
  readonly calls = new LiveMap<RequestId, AbortController>();
  /** Called when what the client follows has changed. */
  onSubscriptions: (() => void) | undefined;
  /** Ends the stream the client listens on. */
  closeStream: (() => void) | undefined;
  settings: SessionSettings;
  readonly #save: (settings: SessionSettings) => Promise<void>;

  constructor(client: LegacyClient, settings: SessionSettings, save: (settings: SessionSettings) => Promise<void>) {
    this.client = client;
    this.settings = settings;
    this.#save = save;
  }

  /** Sets what log messages the client wants. */
  async setLogLevel(logLevel: string): Promise<void> {
    await this.#change({ ...this.settings, logLevel });
  }

  /** Adds or removes a resource the client follows. @returns false when it may follow no more, or none so long. */
  async follow(uri: string, on: boolean): Promise<boolean> {
    const others = this.settings.subscriptions.filter((one) => one !== uri);
    if (on && (others.length >= maxSubscriptions || uri.length > maxUriChars)) return false;
    await this.#change({ ...this.settings, subscriptions: on ? [...others, uri] : others });
    this.onSubscriptions?.();
    return true;
  }

  /** Cancels everything under way. */
  close(error: FedError): void {
    for (const controller of this.calls.values()) controller.abort(error);
    this.closeStream?.();
  }

  async #change(settings: SessionSettings): Promise<void> {
    this.settings = settings;
    await this.#save(settings);
  }
}

/** See the module header. */
export interface LegacySessions {
  /** A new session's id. */
  begin(client: LegacyClient, principal: string, endpoint: string): string;
  /** The session of that id, if it is `principal`'s with `endpoint` and neither ended nor expired. */
  find(id: string, principal: string, endpoint: string): Promise<LegacySession | undefined>;
  /** Ends a session. */
  end(id: string, error: FedError): Promise<void>;
  /** Ends what is under way in all of them. */
  close(error: FedError): void;
}

/** Sessions whose ids are sealed by `seal`. */
export function createLegacySessions({
  seal,
  store,
  clock,
}: {
  readonly seal: Seal;
  readonly store: Store;
  readonly clock: Clock;
}): LegacySessions {
  /** The least recently used first. */
  const sessions = new Map<string, LegacySession>();
  const contextOf = (principal: string, endpoint: string) => JSON.stringify(["session", principal, endpoint]);
  const records = createSessionRecords(store, clock, sessionMs);

  async function open(id: string, principal: string, endpoint: string): Promise<LegacySession | undefined> {
    const client = seal.open(id, contextOf(principal, endpoint), clock.nowMs());
    if (!isObject(client)) return undefined;
    const settings = await records.read(id);
    return settings && new LegacySession(client.client as LegacyClient, settings, (next) => records.write(id, next));
  }

  return {
    begin(client, principal, endpoint) {
      const expiresAtMs = clock.nowMs() + sessionMs;
      const context = contextOf(principal, endpoint);
      const id = seal.close({ n: randomUUID(), client }, context, expiresAtMs);
      if (id.length <= maxIdChars) return id;
      return seal.close(
        { n: randomUUID(), client: { ...client, clientInfo: undefined, capabilities: {} } },
        context,
        expiresAtMs,
      );
    },
    async find(id, principal, endpoint) {
      const name = `${contextOf(principal, endpoint)}${id}`;
      const session = sessions.get(name) ?? (await open(id, principal, endpoint));
      if (!session) return undefined;
      sessions.delete(name);
      sessions.set(name, session);
      if (sessions.size > maxSessions) {
        for (const [oldest, { calls, closeStream }] of sessions) {
          if (calls.size === 0 && !closeStream) sessions.delete(oldest);
          if (sessions.size <= maxSessions) break;
        }
      }
      return session;
    },
    async end(id, error) {
      for (const [name, session] of sessions) {
        if (!name.endsWith(id)) continue;
        sessions.delete(name);
        session.close(error);
      }
      await records.end(id);
    },
    close(error) {
      for (const session of sessions.values()) session.close(error);
      sessions.clear();
    },
  };
}
