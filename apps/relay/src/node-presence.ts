/** What nodes tell each other of the hubs they hold, as JSON on the bus. Every field is checked: a bus is an outside input. */
import { decodeBase64Url, encodeUtf8, parseJson } from "@fed/core";
import type { RelayAdmission } from "@fed/transport-relay/core";

const maxBytes = 65_536;
const maxPeers = 256;

/** A hub or guest that a node holds. */
export interface HeldPeer extends Pick<RelayAdmission, "route" | "class" | "expires"> {
  /** When it was admitted, Unix milliseconds: of two places for one route the newer wins. */
  readonly sinceMs: number;
}

/** One message about a cluster. */
export type PresenceMessage =
  | { readonly type: "who"; readonly node: string }
  | { readonly type: "left"; readonly node: string; readonly route: string }
  /** `whole`: the node holds no others. */
  | { readonly type: "here"; readonly node: string; readonly whole: boolean; readonly peers: readonly HeldPeer[] };

/** The bytes of `message`. */
export function encodePresence(message: PresenceMessage): Uint8Array {
  return encodeUtf8(JSON.stringify(message));
}

/** The message in `bytes`; undefined for anything else. */
export function decodePresence(bytes: Uint8Array): PresenceMessage | undefined {
  const value = readObject(bytes);
  if (value === undefined || typeof value.node !== "string") return undefined;
  const { type, node, route, whole, peers } = value;
  if (type === "who") return { type, node };
  if (type === "left") return isRoute(route) ? { type, node, route } : undefined;
  if (type !== "here" || typeof whole !== "boolean" || !Array.isArray(peers) || peers.length > maxPeers)
    return undefined;
  return peers.every(isPeer) ? { type, node, whole, peers } : undefined;
}

/** The JSON object in `bytes`, at most 64 KiB; undefined for anything else. */
export function readObject(bytes: Uint8Array): Record<string, unknown> | undefined {
  try {
    const value = parseJson(bytes, { maxBytes, maxDepth: 4 });
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function isPeer(value: unknown): value is HeldPeer {
  const peer = (value ?? {}) as Partial<Record<keyof HeldPeer, unknown>>;
  return (
    isRoute(peer.route) &&
    (peer.class === "hub" || peer.class === "guest") &&
    Number.isSafeInteger(peer.expires) &&
    Number.isSafeInteger(peer.sinceMs)
  );
}

function isRoute(value: unknown): value is string {
  try {
    return typeof value === "string" && decodeBase64Url(value).length === 16;
  } catch {
    return false;
  }
}
