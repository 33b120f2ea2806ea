/** A session over the LAN transport: each call is a stream of its own, as a hub's are. No hub, no envelopes. */
import { type Connection, decodeBase64Url, encodeUtf8, randomBytes, type Session, type Stream } from "@fed/core";
import { createSessions, encodeGreeting, type Sessions } from "@fed/session";
import { createLanTransport, type LanTransport, type LanTransportOptions } from "@fed/transport-lan";
import { verifyLeaf } from "@fed/trust";
import { pushBytes, type Wire, type WireCredentials } from "./wire.ts";

const pushHeader = encodeUtf8("push");
const callHeader = new Uint8Array(0);

export const lan: Wire = {
  async serve({ credentials }) {
    const epoch = randomBytes(16);
    const sessions = createSessions({ epoch });
    const listener = await createLan(credentials, { greeting: encodeGreeting(epoch) }).listen({
      connection: (connection) => void sessions.open(connection, { stream: answer }).catch(() => {}),
    });
    return { address: listener.addresses[0]!, close: () => listener.close() };
  },

  async connect({ credentials }, address) {
    const sessions = createSessions({ epoch: randomBytes(16) });
    const connection = await createLan(credentials).dial(address);
    const session = await openEarly(sessions, connection);
    return {
      echo: (body) => callSession(session, body),
      async push(bytes) {
        const stream = session.open(pushHeader, { priority: "bulk" });
        const message = new Uint8Array(pushBytes).fill(7);
        for (let left = bytes; left > 0; left -= message.length) await stream.send(message.subarray(0, left));
        stream.end();
        await stream.receive();
      },
      close: async () => session.close(),
    };
  },
};

/** The session as soon as it can be called on. */
function openEarly(sessions: Sessions, connection: Connection): Promise<Session> {
  return new Promise((early, reject) => {
    sessions.open(connection, { stream: (stream) => stream.end() }, { early }).then(early, reject);
  });
}

/** One call on a stream of its own. */
export async function callSession(session: Session, body: Uint8Array): Promise<Uint8Array> {
  const stream = session.open(callHeader);
  void stream.send(body, { end: true });
  return (await stream.receive())!;
}

/** Sends the one message of a call back, or counts a push to its end. */
export function answer(stream: Stream): void {
  const answered = stream.header.length === 0 ? answerCall(stream) : answerPush(stream);
  answered.catch(() => {});
}

async function answerCall(stream: Stream): Promise<void> {
  await stream.send((await stream.receive())!, { end: true });
}

async function answerPush(stream: Stream): Promise<void> {
  let bytes = 0;
  for (let message = await stream.receive(); message; message = await stream.receive()) bytes += message.length;
  await stream.send(encodeUtf8(`${bytes}`), { end: true });
}

/** A transport on loopback for the hub with these credentials, which trusts the cluster's CA and nobody else. */
export function createLan(credentials: WireCredentials, options: Partial<LanTransportOptions> = {}): LanTransport {
  const { clusterId, hubId, key } = credentials;
  const ca = decodeBase64Url(credentials.caLeaf);
  const leaf = decodeBase64Url(credentials.leaf);
  return createLanTransport({
    credentials: () => ({ leaf, privateKeyPem: key, caCertificates: [ca] }),
    authenticator: {
      authenticate: (evidence) => ({
        ...verifyLeaf(evidence.leaf, { cas: [ca], clusterId, atMs: Date.now() }),
        clusterId,
        name: "",
      }),
    },
    self: hubId,
    host: "127.0.0.1",
    ...options,
  });
}
