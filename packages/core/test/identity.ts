import type { PeerIdentity } from "../src/index.js";

/** An identity for in-memory hubs; nothing in it is signed. */
export function identityOf(name: string): PeerIdentity {
  return {
    hubId: `hub-${name}`,
    clusterId: "cluster",
    name,
    thumbprint: `thumb-${name}`,
    serial: "0a",
    spki: `spki-${name}`,
  };
}
