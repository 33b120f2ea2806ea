/** Members of a cluster made for one run. */
import { encodeBase32, encodeBase64Url, randomBytes } from "@fed/core";
import { createCa, createSigner, encodePem, encodePrivateKeyPem, generateKeyPair, issueLeaf } from "@fed/trust";
import type { WireCredentials } from "./wires/wire.ts";

/** A new cluster; returns what makes a member of it. */
export async function createIssuer(): Promise<() => Promise<WireCredentials>> {
  const clusterId = encodeBase32(randomBytes(32));
  const nowMs = Date.now();
  const key = generateKeyPair();
  const ca = await createCa({ clusterId, key, nowMs });
  const caKey = createSigner(key.secretKey);
  const caPem = encodePem(ca, "CERTIFICATE");
  return async () => {
    const { publicKey, secretKey } = generateKeyPair();
    const hubId = encodeBase32(randomBytes(16));
    const leaf = await issueLeaf({ ca, caKey, publicKey, clusterId, hubId, nowMs });
    return {
      clusterId,
      hubId,
      key: encodePrivateKeyPem(secretKey),
      cert: encodePem(leaf, "CERTIFICATE") + caPem,
      ca: caPem,
      leaf: encodeBase64Url(leaf),
      caLeaf: encodeBase64Url(ca),
    };
  };
}
