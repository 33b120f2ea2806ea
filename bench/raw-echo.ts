/** The raw limit of a call between two processes: length-prefixed frames over mutually authenticated TLS 1.3, and nothing else. */
import { once } from "node:events";
import { connect, type SecureContextOptions, type TLSSocket } from "node:tls";
import { type Child, startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
import { cutFrames, prefixed } from "./frames.ts";

/** What a side of the connection shows and trusts, PEM. */
export type RawCredentials = Pick<SecureContextOptions, "key" | "cert" | "ca">;

/** A connected client with its server in another process. */
export interface RawEcho extends AsyncDisposable {
  readonly server: Child<{ port: number }>;
  echo(text: string): Promise<string>;
}

/** Starts the server and connects to it. */
export async function startRawEcho(): Promise<RawEcho> {
  const issue = await createIssuer();
  const [ours, theirs] = [await issue(), await issue()];
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
export function rawTls({ key, cert, ca }: RawCredentials): SecureContextOptions {
  return { key, cert, ca, minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as SecureContextOptions;
}

/** Cuts what arrives into frames; returns what sends one. What is sent in one turn leaves in one write. */
export function exchangeFrames(socket: TLSSocket, received: (frame: Buffer) => void): (frame: Uint8Array) => void {
  socket.on("data", cutFrames(received));
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
    socket.write(prefixed(frame));
  };
}
