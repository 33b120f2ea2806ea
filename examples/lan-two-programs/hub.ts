/** What both programs share: a LAN transport from the papers that main.ts hands out. */
import type { PeerIdentity } from "@fed/core";
import { createLanTransport, type LanTransport } from "@fed/transport-lan";
import { decodePem, verifyLeaf } from "@fed/trust";

/** A hub's papers, as text so that they can cross a process boundary. */
export interface Papers {
  readonly clusterId: string;
  readonly hubId: string;
  readonly leafPem: string;
  readonly privateKeyPem: string;
  readonly caPem: string;
}

/** The papers that main.ts sends first. */
export function receivePapers(): Promise<Papers> {
  return new Promise((resolve) => process.once("message", (papers) => resolve(papers as Papers)));
}

/** A transport that trusts the cluster's CA and finds others by multicast on this machine. */
export function createTransport(papers: Papers): LanTransport {
  const { clusterId, hubId } = papers;
  const ca = decodePem(papers.caPem, "CERTIFICATE");
  const leaf = decodePem(papers.leafPem, "CERTIFICATE");
  return createLanTransport({
    self: hubId,
    host: "127.0.0.1",
    credentials: () => ({ leaf, privateKeyPem: papers.privateKeyPem, caCertificates: [ca] }),
    authenticator: {
      authenticate(evidence): PeerIdentity {
        const verified = verifyLeaf(evidence.leaf, { cas: [ca], clusterId, atMs: Date.now() });
        return { ...verified, name: verified.hubId.slice(0, 6) };
      },
    },
    discovery: {
      bootId: crypto.randomUUID(),
      clusterTag: () => clusterId.slice(0, 16),
      acceptedTags: () => [clusterId.slice(0, 16)],
    },
  });
}
