/** `@grpc/grpc-js` over mutually authenticated TLS: one unary call of opaque bytes. */
import { createRequire } from "node:module";
import { join } from "node:path";
import type { Wire } from "./wire.ts";

/** The part of the package that is used here. */
interface Grpc {
  readonly Server: new () => {
    addService(definition: object, handlers: object): void;
    bindAsync(address: string, credentials: object, done: (error: Error | null, port: number) => void): void;
    forceShutdown(): void;
  };
  readonly ServerCredentials: { createSsl(ca: Buffer, pairs: object[], checkClient: boolean): object };
  readonly credentials: { createSsl(ca: Buffer, key: Buffer, cert: Buffer, options: object): object };
  makeGenericClientConstructor(
    definition: object,
    name: string,
  ): new (
    address: string,
    credentials: object,
  ) => {
    echo(body: Uint8Array, done: (error: Error | null, answer: Uint8Array) => void): void;
    waitForReady(deadline: Date, done: (error?: Error) => void): void;
    close(): void;
  };
}

const same = (body: Buffer) => body;
const definition = {
  echo: {
    path: "/bench.Echo/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: (body: Uint8Array) => Buffer.from(body.buffer, body.byteOffset, body.length),
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

export const grpc: Wire = {
  async serve({ credentials, modules }) {
    const { Server, ServerCredentials } = loadFrom(modules);
    const server = new Server();
    server.addService(definition, {
      echo: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request),
    });
    const pair = { private_key: Buffer.from(credentials.key), cert_chain: Buffer.from(credentials.cert) };
    const secured = ServerCredentials.createSsl(Buffer.from(credentials.ca), [pair], true);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync("127.0.0.1:0", secured, (error, bound) => (error ? reject(error) : resolve(bound))),
    );
    return { address: `127.0.0.1:${port}`, close: async () => server.forceShutdown() };
  },

  async connect({ credentials, modules }, address) {
    const { credentials: channel, makeGenericClientConstructor } = loadFrom(modules);
    const Client = makeGenericClientConstructor(definition, "Echo");
    const [ca, key, cert] = [credentials.ca, credentials.key, credentials.cert].map((pem) => Buffer.from(pem));
    const secured = channel.createSsl(ca!, key!, cert!, { checkServerIdentity: () => undefined });
    const client = new Client(address, secured);
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(new Date(Date.now() + 10_000), (error) => (error ? reject(error) : resolve())),
    );
    return {
      echo: (body) =>
        new Promise((resolve, reject) =>
          client.echo(body, (error, answer) => (error ? reject(error) : resolve(answer))),
        ),
      close: async () => client.close(),
    };
  },
};

function loadFrom(modules: string): Grpc {
  return createRequire(join(modules, "x.js"))("@grpc/grpc-js") as Grpc;
}
