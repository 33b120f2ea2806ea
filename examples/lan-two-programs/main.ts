/**
 * Two programs on one LAN, with nothing between them but `@fed/transport-lan`: each is its own process with its own
 * certificate; one finds the other by multicast, both prove who they are, and an outsider is turned away.
 */
import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { encodeBase32, isFedError, randomBytes } from "@fed/core";
import { createCa, createSigner, encodePem, encodePrivateKeyPem, generateKeyPair, issueLeaf } from "@fed/trust";
import { createTransport, type Papers } from "./hub.ts";

async function createCluster(): Promise<() => Promise<Papers>> {
  const clusterId = encodeBase32(randomBytes(32));
  const caKey = generateKeyPair();
  const nowMs = Date.now();
  const ca = await createCa({ clusterId, key: caKey, nowMs });
  return async () => {
    const key = generateKeyPair();
    const hubId = encodeBase32(randomBytes(16));
    const caSigner = createSigner(caKey.secretKey);
    const leaf = await issueLeaf({ ca, caKey: caSigner, publicKey: key.publicKey, clusterId, hubId, nowMs });
    return {
      clusterId,
      hubId,
      leafPem: encodePem(leaf, "CERTIFICATE"),
      privateKeyPem: encodePrivateKeyPem(key.secretKey),
      caPem: encodePem(ca, "CERTIFICATE"),
    };
  };
}

function start(program: string, papers: Papers): ChildProcess {
  const child = fork(new URL(program, import.meta.url));
  child.send(papers);
  return child;
}

async function succeeded(name: string, child: ChildProcess): Promise<void> {
  const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
  assert.equal(code, 0, `${name} failed`);
}

const enrol = await createCluster();
const server = start("./server.ts", await enrol());
const [{ addresses }] = (await once(server, "message")) as [{ addresses: string[] }];
console.log(`server: listening at ${addresses[0]}`);

const refusal = once(server, "message") as Promise<[{ refused: string }]>;
const outsider = createTransport(await (await createCluster())());
await assert.rejects(outsider.dial(addresses[0]!), (error) => isFedError(error) && error.code === "LEAF_UNTRUSTED");
const [{ refused }] = await refusal;
console.log(`server: an outsider was turned away (${refused})`);

const client = start("./client.ts", await enrol());
const fallback = setTimeout(() => client.send({ fallback: addresses[0] }), 5_000);
await succeeded("client", client);
clearTimeout(fallback);
await succeeded("server", server);
console.log("ok");
