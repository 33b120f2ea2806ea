/** Stands in for a certificate where nothing is signed: the "leaf" of an in-memory hub is its identity in JSON. */

import { CoreError } from "../errors.js";
import type { PeerAuthenticator, PeerIdentity } from "../identity.js";
import { canonicalJson, parseJson } from "../json.js";

const fields = ["hubId", "clusterId", "name", "thumbprint", "serial", "spki"] as const;

/** The stand-in leaf of `identity`: canonical JSON of its six fields. */
export function encodeMemoryLeaf(identity: PeerIdentity): Uint8Array {
  return canonicalJson(Object.fromEntries(fields.map((field) => [field, identity[field]])));
}

/**
 * Accepts every stand-in leaf and believes it. For tests only: wrap it to refuse some hubs.
 * Its `authenticate` throws {@link CoreError} with the codes of `parseJson`, or INVALID_JSON when fields are missing.
 */
export const memoryAuthenticator: PeerAuthenticator = {
  authenticate(evidence): PeerIdentity {
    const value = parseJson(evidence.leaf, { maxBytes: 4096, maxDepth: 1 });
    const identity = value as Record<string, unknown> | null;
    if (typeof identity !== "object" || !fields.every((field) => typeof identity?.[field] === "string")) {
      throw new CoreError({
        code: "INVALID_JSON",
        message: "The leaf is not a stand-in leaf of an in-memory hub.",
        hint: "Hand the transport an authenticator that understands the leaf it was given.",
      });
    }
    return identity as unknown as PeerIdentity;
  },
};
