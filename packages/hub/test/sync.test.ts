import { encodeUtf8, type FedError, type PeerIdentity, type Session, type Stream, systemClock } from "@fed/core";
import { createMemorySessionPair } from "@fed/core/memory";
import { describe, expect, it } from "vitest";
import { createSync, type Sync, syncHeader } from "../src/cluster/sync.js";

function identityOf(hubId: string): PeerIdentity {
  return { hubId, clusterId: "c", name: hubId, thumbprint: "t", serial: "1", spki: "s" };
}

/** One hub's documents: manifests are their own version numbers, padded. */
class Documents {
  manifests: { version: number; padding: string }[] = [];
  revocations = 0;
  readonly refused: string[] = [];
  readonly sync: Sync = createSync({
    state: {
      heads: () => ({ manifest: this.manifests.length, revocations: this.revocations }),
      manifestsAfter: (version) => this.manifests.slice(version),
      revocationList: () => ({ number: this.revocations }),
      adoptManifests: async (signed) => {
        for (const manifest of signed as { version: number; padding: string }[]) {
          if (manifest.version === this.manifests.length + 1) this.manifests.push(manifest);
        }
      },
      adoptRevocationList: async (signed) => {
        this.revocations = Math.max(this.revocations, (signed as { number: number }).number);
      },
    },
    clock: systemClock,
    onRefused: (_peer: string, error: FedError) => this.refused.push(error.code),
  });

  fill(count: number, paddingBytes = 10): void {
    const padding = "x".repeat(paddingBytes);
    this.manifests = Array.from({ length: count }, (_, i) => ({ version: i + 1, padding }));
  }
}

async function connected(a: Documents, b: Documents): Promise<readonly [Session, Session]> {
  const serving = (documents: Documents, session: () => Session) => ({
    stream: (stream: Stream) => documents.sync.serve(session(), stream),
  });
  const sessions: readonly [Session, Session] = await createMemorySessionPair(
    { identity: identityOf("a"), handler: serving(a, () => sessions[0]) },
    { identity: identityOf("b"), handler: serving(b, () => sessions[1]) },
  );
  a.sync.start(sessions[0]);
  return sessions;
}

describe("two hubs in step", () => {
  it.each([
    ["more versions than one message holds", 200, 10],
    ["versions of which few fill a message", 12, 900_000],
  ])("catch up over %s, in either direction", async (_what, count, bytes) => {
    for (const ahead of [0, 1]) {
      const sides = [new Documents(), new Documents()] as const;
      sides[ahead]!.fill(count, bytes);
      sides[1 - ahead]!.revocations = 3;
      await connected(...sides);
      await expect.poll(() => sides[1 - ahead]!.manifests.length, { timeout: 5_000 }).toBe(count);
      await expect.poll(() => sides[ahead]!.revocations).toBe(3);
      expect([...sides[0].refused, ...sides[1].refused]).toEqual([]);
    }
  });

  it("hear of news at once, and know what the other holds", async () => {
    const [a, b] = [new Documents(), new Documents()];
    const [session] = await connected(a, b);
    await expect.poll(() => b.sync.peers.get("a")?.manifest).toBe(0);
    a.fill(3);
    a.revocations = 2;
    a.sync.announce();
    await expect.poll(() => a.sync.peers.get("b")).toMatchObject({ manifest: 3, revocations: 2 });
    session.close();
    await expect.poll(() => a.sync.peers.size).toBe(0);
  });

  it("leave a peer that sends what is no message", async () => {
    for (const message of [
      "{",
      "5",
      "null",
      "[]",
      '{"manifest":-1,"revocations":0}',
      '{"other":1}',
      '{"manifest":-1}',
      `{"manifests":[${"0,".repeat(64)}0]}`,
    ]) {
      const [a, b] = [new Documents(), new Documents()];
      const [session] = await createMemorySessionPair(
        { identity: identityOf("a"), handler: { stream() {} } },
        {
          identity: identityOf("b"),
          handler: { stream: (stream) => b.sync.serve({ peer: identityOf("a") } as Session, stream) },
        },
      );
      const stream = session.open(syncHeader);
      void stream.send(encodeUtf8(message)).catch(() => {});
      await expect.poll(() => b.refused, { message }).toHaveLength(1);
      expect(b.refused[0], message).not.toBe("INTERNAL");
      expect(b.manifests).toEqual(a.manifests);
    }
  });
});

describe("catching up", () => {
  it("resolves once the list is as long as asked for", async () => {
    const [a, b] = [new Documents(), new Documents()];
    await connected(a, b);
    b.revocations = 3;
    await a.sync.catchUp(3);
    expect(a.revocations).toBe(3);
  });

  it("ends in STALE_REVOCATION_VIEW when nobody has it", async () => {
    const [a, b] = [new Documents(), new Documents()];
    await connected(a, b);
    await expect(a.sync.catchUp(4)).rejects.toMatchObject({ code: "STALE_REVOCATION_VIEW" });
  });
});

describe("a peer that asks too much", () => {
  it("gets one stream per session", async () => {
    const [a, b] = [new Documents(), new Documents()];
    const [session] = await connected(a, b);
    const second = session.open(syncHeader);
    await expect(second.receive()).rejects.toMatchObject({ code: "REQUEST_INVALID" });
  });

  it("gets the same documents once a second, however often it asks", async () => {
    const [a, b] = [new Documents(), new Documents()];
    a.fill(3);
    const sessions: readonly [Session, Session] = await createMemorySessionPair(
      { identity: identityOf("a"), handler: { stream: (stream) => a.sync.serve(sessions[0], stream) } },
      { identity: identityOf("b"), handler: { stream: (stream) => b.sync.serve(sessions[1], stream) } },
    );
    const stream = sessions[1].open(syncHeader);
    for (let i = 0; i < 20; i++) await stream.send(encodeUtf8('{"manifest":0,"revocations":0}'));
    await stream.send(encodeUtf8('{"manifest":9,"revocations":0}'));
    let documents = 0;
    // The answer to the last announcement, which asks for what this side holds, comes after all others.
    for (let answers = 0; answers < 2; ) {
      const text = new TextDecoder().decode(await stream.receive());
      if (text.startsWith('{"manifests"')) documents++;
      else answers++;
    }
    expect(documents).toBe(1);
  });
});
