/** The names a cluster's certificates carry: how cluster id and hub id become a domain, a URI and a DNS name. */
import { type ClusterId, decodeBase32, type HubId } from "@fed/core";
import { TrustError } from "./errors.js";

/** The one URI in a hub's leaf (SPIFFE-ID §2). */
export function spiffeUri(clusterId: ClusterId, hubId: HubId): string {
  return `spiffe://${clusterId}/hub/${hubId}`;
}

/** The one DNS name in a hub's leaf; also what TLS sends as the server name. */
export function hubDnsName(clusterId: ClusterId, hubId: HubId): string {
  return `${hubId}.${clusterId}`;
}

/** The hub that `uri` names, or undefined when it is not exactly the URI of a hub of `clusterId`. */
export function parseSpiffeUri(uri: string, clusterId: ClusterId): HubId | undefined {
  const prefix = spiffeUri(clusterId, "");
  const hubId = uri.slice(prefix.length);
  return uri.startsWith(prefix) && isHubId(hubId) ? hubId : undefined;
}

/** Whether `text` is a hub id: base32 of 16 bytes. */
export function isHubId(text: string): text is HubId {
  return isBase32(text, 16);
}

/** Whether `text` is a cluster id: base32 of 32 bytes. */
export function isClusterId(text: string): text is ClusterId {
  return isBase32(text, 32);
}

/** @throws {TrustError} BAD_NAME unless `clusterId`, and `hubId` if given, are well-formed. */
export function assertNames(clusterId: ClusterId, hubId?: HubId): void {
  if (!isClusterId(clusterId)) throw new TrustError({ code: "BAD_NAME", message: "Not a cluster id." });
  if (hubId !== undefined && !isHubId(hubId)) throw new TrustError({ code: "BAD_NAME", message: "Not a hub id." });
}

function isBase32(text: string, bytes: number): boolean {
  if (text.length !== Math.ceil((bytes * 8) / 5)) return false;
  try {
    return decodeBase32(text).length === bytes;
  } catch {
    return false;
  }
}
