/** The raw limit of a call between two processes: length-prefixed frames over mutually authenticated TLS 1.3, and nothing else. */
import { once } from "node:events";
import { connect, type SecureContextOptions, type TLSSocket } from "node:tls";
import { encodeBase32, randomBytes } from "@fed/core";
import { createCa, createSigner, encodePem, encodePrivateKeyPem, generateKeyPair, issueLeaf } from "@fed/trust";
import { type Child, startChild } from "./child.ts";

const headerBytes = 4;

/** What a side of the connection shows and trusts, PEM. */
export type RawCredentials = Pick<SecureContextOptions, "key" | "cert" | "ca">;

/** A connected client with its server in another process. */
export interface RawEcho extends AsyncDisposable {
  readonly server: Child<{ port: number }>;
  echo(text: string): Promise<string>;
}

/** Starts the server and connects to it. */
export async function startRawEcho(): Promise<RawEcho> {
  const [ours, theirs] = await issueCredentials();
  const server = await startChild<{ port: number }>("./raw-echo-process.ts", theirs);
  const socket = connect({
    ...rawTls(ours),
    host: "127.0.0.1",
    port: server.ready.port,
    // The leaf names a hub, not this address.
    checkServerIdentity: () => undefined,
  });
  await once(socket, "secureConnect");
  socket.setNoDelay(true);
  const waiting: ((text: string) => void)[] = [];
  const send = exchangeFrames(socket, (frame) => waiting.shift()!(frame.toString("utf8")));
  return {
    server,
    echo: (text) =>
      new Promise((resolve) => {
        waiting.push(resolve);
        send(Buffer.from(text, "utf8"));
      }),
    async [Symbol.asyncDispose]() {
      socket.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** The options of both sides: TLS 1.3, and certificates both ways. */
export function rawTls(credentials: RawCredentials): SecureContextOptions {
  return { ...credentials, minVersion: "TLSv1.3", maxVersion: "TLSv1.3" };
}

/** Cuts what arrives into frames; returns what sends one. What is sent in one turn leaves in one write. */
export function exchangeFrames(socket: TLSSocket, received: (frame: Buffer) => void): (frame: Buffer) => void {
  let buffered: Buffer = Buffer.alloc(0);
  socket.on("data", (chunk: Buffer) => {
    buffered = buffered.length === 0 ? chunk : Buffer.concat([buffered, chunk]);
    let offset = 0;
    while (buffered.length - offset >= headerBytes) {
      const end = offset + headerBytes + buffered.readUInt32BE(offset);
      if (end > buffered.length) break;
      received(buffered.subarray(offset + headerBytes, end));
      offset = end;
    }
    buffered = buffered.subarray(offset);
  });
  let corked = false;
  return (frame) => {
    if (!corked) {
      corked = true;
      socket.cork();
      process.nextTick(() => {
        corked = false;
        socket.uncork();
      });
    }
    const whole = Buffer.allocUnsafe(headerBytes + frame.length);
    whole.writeUInt32BE(frame.length);
    frame.copy(whole, headerBytes);
    socket.write(whole);
  };
}

/** Two leaves of one new CA, as hubs have them. */
async function issueCredentials(): Promise<[RawCredentials, RawCredentials]> {
  const clusterId = encodeBase32(randomBytes(32));
  const nowMs = Date.now();
  const key = generateKeyPair();
  const ca = await createCa({ clusterId, key, nowMs });
  const caKey = createSigner(key.secretKey);
  const issue = async (): Promise<RawCredentials> => {
    const { publicKey, secretKey } = generateKeyPair();
    const hubId = encodeBase32(randomBytes(16));
    const leaf = await issueLeaf({ ca, caKey, publicKey, clusterId, hubId, nowMs });
    const caPem = encodePem(ca, "CERTIFICATE");
    return { key: encodePrivateKeyPem(secretKey), cert: encodePem(leaf, "CERTIFICATE") + caPem, ca: caPem };
  };
  return [await issue(), await issue()];
}
