import { readFileSync } from "node:fs";
import { join } from "node:path";
import { decodeBase64Url, encodeBase64Url, type FedError, systemClock } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createLanTransport } from "@fed/transport-lan";
import {
  createCa,
  createSigner,
  encodePrivateKeyPem,
  generateKeyPair,
  issueLeaf,
  type KeyPair,
  keyPairFromSecret,
} from "@fed/trust";
import { describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { addressOf, loopback, pair, TestFleet, testApp } from "./fleet.js";

const dayMs = 24 * 60 * 60_000;

/** Tries to connect to `to` with a certificate of one's own. @throws what the other side answered. */
async function intrude(to: Hub, leaf: Uint8Array, key: KeyPair, ...cas: Uint8Array[]): Promise<void> {
  const transport = createLanTransport({
    self: "a".repeat(26),
    credentials: () => ({ leaf, privateKeyPem: encodePrivateKeyPem(key.secretKey), caCertificates: cas }),
    authenticator: {
      authenticate: () => ({ hubId: "b".repeat(26), clusterId: "", name: "", thumbprint: "", serial: "", spki: "" }),
    },
  });
  const connection = await transport.dial(addressOf(to));
  // A hub greets, so what it thinks of whoever dials is heard after the dial.
  const error = await new Promise<FedError | undefined>((closed) => connection.start({ message() {}, closed }));
  if (error) throw error;
}

async function refused(hub: Hub): Promise<unknown[]> {
  const records = (await hub.audit.tail(100)).map(({ record }) => record);
  return records.filter(({ type }) => type === "peer.refused").map(({ code }) => code);
}

/** What a thief of the founder's disk would have. */
function stolen(fleet: TestFleet): { ca: KeyPair; leaf: KeyPair } {
  const secret = (name: string) =>
    keyPairFromSecret(new Uint8Array(readFileSync(join(fleet.dirOf("pc1"), "keys", name))));
  return { ca: secret("ca"), leaf: secret("leaf") };
}

function caOf(hub: Hub, fleet: TestFleet): Uint8Array {
  const file = hub.cluster.exportPublic(fleet.dirOf("public")).find((path) => path.endsWith("ca.pem"))!;
  const pem = readFileSync(file, "utf8").replaceAll(/-----[^-]+-----|\s/g, "");
  return decodeBase64Url(encodeBase64Url(Buffer.from(pem, "base64")));
}

describe("at the handshake a hub refuses, and records,", () => {
  it("a leaf from another CA, one of tomorrow, and one the manifest does not name", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet, { pc2: { apps: { echo: testApp() } } });
    await pc2.sharing.share("echo", "cluster");
    const { clusterId } = pc1.cluster.status();
    const ownCa = caOf(pc1, fleet);
    const key = generateKeyPair();
    const nowMs = systemClock.nowMs();
    const foreignCaKey = generateKeyPair();
    const foreignCa = await createCa({ clusterId, key: foreignCaKey, nowMs });
    const leafOf = (ca: Uint8Array, caKey: KeyPair, options: object = {}) =>
      issueLeaf({
        ca,
        caKey: createSigner(caKey.secretKey),
        publicKey: key.publicKey,
        clusterId,
        hubId: pc2.hubId,
        nowMs,
        ...options,
      });
    const { ca } = stolen(fleet);

    const cases: [code: string, leaf: Uint8Array, ...cas: Uint8Array[]][] = [
      ["LEAF_UNTRUSTED", await leafOf(foreignCa, foreignCaKey), foreignCa, ownCa],
      ["LEAF_NOT_IN_MANIFEST", await leafOf(ownCa, ca), ownCa],
      ["LEAF_NOT_IN_MANIFEST", await leafOf(ownCa, ca, { hubId: "e".repeat(26) }), ownCa],
      ["LEAF_NOT_YET_VALID", await leafOf(ownCa, ca, { nowMs: nowMs + dayMs }), ownCa],
    ];
    for (const [code, leaf, ...issuers] of cases) {
      await expectCode(intrude(pc1, leaf, key, ...issuers), code);
      await expect.poll(() => refused(pc1)).toContain(code);
    }
    // Nobody else has noticed.
    const operator = pc1.operators.local("tester");
    await pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });
  });

  it("a revoked hub, however it comes back", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await pair(fleet);
    await pc1.cluster.revoke({ kind: "hub", id: "pc2" }, "lost");
    await pc2.close();
    const again = await fleet.hub("pc2", { lan: { ...loopback, peers: [addressOf(pc1)] } });
    await expect.poll(() => refused(pc1), { timeout: 5_000 }).toContain("HUB_REVOKED");
    expect(pc1.cluster.peers()).toMatchObject([{ name: "pc2", state: "revoked", path: undefined }]);
    expect(again.cluster.peers()[0]?.path).toBeUndefined();
    const operator = pc1.operators.local("tester");
    await expectCode(pc1.apps.call({ hub: "pc2", app: "echo", tool: "echo" }, { operator }), "HUB_REVOKED");
    // Not even with an invitation.
    await expectCode(again.cluster.join(await pc1.cluster.invite()), "ALREADY_IN_CLUSTER");
  });

  it("a founder's copy of itself", async () => {
    await using fleet = new TestFleet();
    const { pc1 } = await pair(fleet);
    const { leaf } = stolen(fleet);
    const { ca } = stolen(fleet);
    const ownCa = caOf(pc1, fleet);
    const der = await issueLeaf({
      ca: ownCa,
      caKey: createSigner(ca.secretKey),
      publicKey: leaf.publicKey,
      clusterId: pc1.cluster.status().clusterId,
      hubId: pc1.hubId,
      nowMs: systemClock.nowMs(),
    });
    await expectCode(intrude(pc1, der, leaf, ownCa), "SELF_CONNECTION");
  });
});
