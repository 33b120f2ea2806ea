/** A way for two processes to call each other that is measured: what serves and what connects, each in a process of its own. */

/** What both sides are made from; plain JSON. */
export interface WireSetUp {
  /** One of `wires`, in `./index.ts`. */
  readonly wire: string;
  readonly credentials: WireCredentials;
  /** `node_modules` with the packages of others. */
  readonly modules: string;
  /** For wires that lead through a relay. */
  readonly relay?: WireRelay;
}

/** A relay, and what the members of the cluster that it serves know. */
export interface WireRelay {
  readonly relayUrl: string;
  /** base64url, 32 bytes. */
  readonly clusterKey: string;
  /** Secret Noise keys by hub id, base64url. */
  readonly noiseKeys: Readonly<Record<string, string>>;
}

/** A member of one cluster: what it shows and trusts. */
export interface WireCredentials {
  readonly clusterId: string;
  readonly hubId: string;
  /** PEM: private key, leaf and CA, CA. */
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
  /** DER, base64url. */
  readonly leaf: string;
  readonly caLeaf: string;
}

/** A server that runs. */
export interface WireServer {
  /** How it is reached, in the wire's own terms; plain JSON. */
  readonly address: string;
  close(): Promise<void>;
}

/** A client that is connected. */
export interface WireClient {
  /** Sends `body` and resolves with what came back. */
  echo(body: Uint8Array): Promise<Uint8Array>;
  /** Sends `bytes` bytes on one stream and resolves when the other side has read them all. Where it is compared. */
  push?(bytes: number): Promise<void>;
  close(): Promise<void>;
}

/** See the module header. */
export interface Wire {
  serve(setUp: WireSetUp): Promise<WireServer>;
  connect(setUp: WireSetUp, address: string): Promise<WireClient>;
}

/** Bytes of one write of {@link WireClient.push}. */
export const pushBytes = 65_536;

/** For wires that answer in the order of the questions. */
export function askInOrder(send: (body: Uint8Array) => void): {
  ask(body: Uint8Array): Promise<Uint8Array>;
  answered(body: Uint8Array): void;
} {
  // An array as a ring: shift() of a long array moves all of it.
  const waiting: (((body: Uint8Array) => void) | undefined)[] = new Array(1024).fill(undefined);
  let first = 0;
  let next = 0;
  return {
    ask: (body) =>
      new Promise((resolve) => {
        waiting[next++ % waiting.length] = resolve;
        send(body);
      }),
    answered(body) {
      const resolve = waiting[first % waiting.length]!;
      waiting[first++ % waiting.length] = undefined;
      resolve(body);
    },
  };
}
