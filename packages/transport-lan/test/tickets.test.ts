import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "node:tls";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { secureContextOptions } from "../src/credentials.js";
import { createTestCluster, type TestCluster } from "./fixture/cluster.js";
import { watch } from "./fixture/raw-client.js";

let folder: string;
let cluster: TestCluster;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "fed-tickets-"));
  cluster = await createTestCluster();
  const { leaf, privateKeyPem } = await cluster.enrol();
  writeFileSync(join(folder, "leaf.pem"), new X509Certificate(leaf).toString());
  writeFileSync(join(folder, "ca.pem"), new X509Certificate(cluster.ca).toString());
  writeFileSync(join(folder, "key.pem"), privateKeyPem);
});

afterAll(() => rmSync(folder, { recursive: true }));

/** What openssl says when it connects, and when it comes back with the session it got. */
async function visitTwice(address: string): Promise<[string, string]> {
  const file = (name: string) => join(folder, name);
  const session = file("session.pem");
  rmSync(session, { force: true });
  const args = ["s_client", "-connect", address, "-alpn", "fed/1", "-ign_eof"];
  args.push("-cert", file("leaf.pem"), "-key", file("key.pem"), "-CAfile", file("ca.pem"));
  const first = await openssl([...args, "-sess_out", session]);
  expect(existsSync(session)).toBe(true);
  return [first, await openssl([...args, "-sess_in", session])];
}

function openssl(args: readonly string[]): Promise<string> {
  return new Promise((resolve) => {
    // It ends with the connection; how it ends tells nothing.
    const child = execFile("openssl", args, { timeout: 10_000 }, (_error, stdout, stderr) => resolve(stdout + stderr));
    child.stdin?.end();
  });
}

/** Bytes of each ticket in what openssl printed, 16 to a line. */
function ticketBytes(text: string): number[] {
  const tickets = text.split("TLS session ticket:\n").slice(1);
  return tickets.map((rest) => 16 * /^(?: +[0-9a-f]{4} - .*\n)*/.exec(rest)![0].split("\n").filter(Boolean).length);
}

describe("openssl s_client, a member with a good leaf", () => {
  it("gets nothing from a hub that holds a session, or that brings one back", async () => {
    const hub = await cluster.hub({ limits: { handshakeTimeoutMs: 1_500 } });
    const watched = await watch(hub.transport);
    const [first, again] = await visitTwice(watched.address);
    expect(first).toContain("Verify return code: 0");
    // OpenSSL's bare references: Node has no way to keep it from sending them, and no table behind them.
    expect(ticketBytes(first)).toEqual([32, 32]);
    expect(again).toContain("New, TLSv1.3");
    expect(again).not.toContain("Reused, TLSv1.3");
    // It was accepted both times, and said nothing.
    expect([await watched.nextRefusal(), await watched.nextRefusal()]).toEqual(Array(2).fill("HANDSHAKE_TIMEOUT"));
    await watched.close();
  });

  it("gets both from a server with Node's defaults", async () => {
    const { secureOptions: _, ...options } = secureContextOptions(await cluster.enrol());
    const server = createServer({ ...options, ALPNProtocols: ["fed/1"], requestCert: true }, (socket) => {
      socket.on("error", () => {});
      socket.end("bye");
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const [first, again] = await visitTwice(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    // The whole session, client's certificate and all.
    expect(Math.min(...ticketBytes(first))).toBeGreaterThan(500);
    expect(again).toContain("Reused, TLSv1.3");
    server.close();
  });

  it("is refused with anything older than TLS 1.3", async () => {
    const hub = await cluster.hub();
    const watched = await watch(hub.transport);
    const text = await openssl(["s_client", "-connect", watched.address, "-tls1_2"]);
    expect(text).toContain("alert protocol version");
    expect(await watched.nextRefusal()).toBe("TLS_FAILED");
    await watched.close();
  });
});
