/** A session between two hubs through a relay: Noise end to end, each call a stream of its own. No hub, no envelopes. */
import { decodeBase64Url, randomBytes } from "@fed/core";
import { createSessions } from "@fed/session";
import {
  createRelayTransport,
  deriveRelayKeys,
  noiseKeyPairFromSecret,
  type RelayTransport,
  type WebSocketConnect,
} from "@fed/transport-relay";
import { verifyLeaf } from "@fed/trust";
import { WebSocket } from "ws";
import { answer, callSession } from "./lan.ts";
import type { Wire, WireSetUp } from "./wire.ts";

export const relay: Wire = {
  async serve(setUp) {
    const sessions = createSessions({ epoch: randomBytes(16) });
    const transport = await joinRelay(setUp, connectRelay);
    await transport.listen({
      connection: (connection) => void sessions.open(connection, { stream: answer }).catch(() => {}),
    });
    return { address: setUp.credentials.hubId, close: () => transport.close() };
  },

  async connect(setUp, address) {
    const sessions = createSessions({ epoch: randomBytes(16) });
    const transport = await joinRelay(setUp, connectRelay);
    const session = await sessions.open(await transport.dial(address), { stream: (stream) => stream.end() });
    return { echo: (body) => callSession(session, body), close: () => transport.close() };
  },
};

/** As hubs on Node connect. */
const connectRelay: WebSocketConnect = (url, protocols) =>
  new WebSocket(url, protocols, { perMessageDeflate: false }) as ReturnType<WebSocketConnect>;

/** Resolves once the relay has let the hub in. */
export async function joinRelay(setUp: WireSetUp, connect: WebSocketConnect): Promise<RelayTransport> {
  const { relayUrl, clusterKey, noiseKeys } = setUp.relay!;
  const { clusterId, hubId } = setUp.credentials;
  const ca = decodeBase64Url(setUp.credentials.caLeaf);
  const keyPairOf = (hub: string) => noiseKeyPairFromSecret(decodeBase64Url(noiseKeys[hub]!));
  const up = Promise.withResolvers<void>();
  const transport = createRelayTransport({
    relays: [relayUrl],
    self: hubId,
    noiseKey: keyPairOf(hubId),
    leaf: () => ({ leaf: decodeBase64Url(setUp.credentials.leaf), chain: [ca] }),
    authenticator: {
      authenticate: ({ leaf }) => ({
        ...verifyLeaf(leaf, { cas: [ca], clusterId, atMs: Date.now() }),
        clusterId,
        name: "",
      }),
    },
    relayKeys: deriveRelayKeys(decodeBase64Url(clusterKey)),
    noiseKeyOf: (hub) => keyPairOf(hub).publicKey,
    connect,
    onState: ({ status, error }) => {
      if (status === "up") up.resolve();
      else if (error) up.reject(error);
    },
  });
  await up.promise;
  return transport;
}
