import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Home } from "./home.js";

interface Report {
  readonly number: number;
  readonly hereMs: number;
  readonly heldBy: readonly { readonly name: string }[];
  readonly notReached: readonly unknown[];
}
interface List {
  readonly number: number;
  readonly entries: readonly { readonly kind: string; readonly id: string; readonly reason: string }[];
}

describe("in a cluster", () => {
  const home = new Home();
  let pc2Id: string;
  beforeAll(async () => {
    ({
      pc2: {
        up: { hubId: pc2Id },
      },
    } = await home.pair());
  });
  afterAll(() => home[Symbol.asyncDispose]());

  it("nothing is revoked at first", async () => {
    expect(await home.json("pc1", "revocations")).toMatchObject({ number: 0, entries: [] });
    expect(await home.text("pc1", "revocations")).toBe("Nothing is revoked.\n");
  });

  it("an operator is cut off everywhere, in words", async () => {
    const text = await home.text("pc1", "revoke", `operator:someone@${pc2Id}`, "--reason", "left");
    expect(text).toMatch(
      /^operator someone@\S+ is revoked; the list has 1 entry\.\nhere: in force .*\npc2: holds it after \d+ ms\n$/,
    );
    expect(await home.text("pc2", "revocations")).toMatch(/^SINCE +WHAT +REASON\n\S+Z +operator:someone@\S+ +left\n$/);
  });

  it("a pairing token is no longer good", async () => {
    await home.refused("pc2", ["revoke", "token:abc", "--reason", "x"], "NOT_THE_AUTHORITY");
    await home.refused("pc1", ["revoke", "hub:pc9", "--reason", "x"], "HUB_UNKNOWN");
    await home.refused("pc1", ["revoke", "hub:pc1", "--reason", "x"], "SELF_REVOCATION");
    expect(await home.json<List>("pc1", "revocations")).toMatchObject({ number: 1 });
  });

  it("a hub is cut off: the report says who holds it, and the next call is refused", async () => {
    const report = await home.json<Report>("pc1", "revoke", "hub:pc2", "--reason", "lost on a train");
    expect(report).toMatchObject({ number: 2, notReached: [] });
    expect(report.hereMs).toBeLessThan(2000);
    expect(await home.json<List>("pc1", "revocations")).toMatchObject({
      number: 2,
      entries: [{ kind: "operator" }, { kind: "hub", id: pc2Id, reason: "lost on a train" }],
    });
    await home.refused("pc1", ["call", "pc2/notes", "echo"], "HUB_REVOKED");
    expect(await home.json("pc1", "peers")).toMatchObject([{ name: "pc2", state: "revoked" }]);
  });
});

describe("a stopped hub", () => {
  it("revokes, too, and tells the others when it runs again", async () => {
    await using home = new Home();
    const { pc1 } = await home.pair();
    await pc1.stop();
    const report = await home.json<Report>("pc1", "revoke", "leaf:00ff", "--reason", "stolen");
    expect(report).toMatchObject({ number: 1, heldBy: [], notReached: [{ name: "pc2" }] });
    expect(await home.json<List>("pc1", "revocations")).toMatchObject({ number: 1 });
  });

  it("without a cluster can revoke nothing", async () => {
    await using home = new Home();
    await home.init("pc1");
    await home.refused("pc1", ["revoke", "operator:someone", "--reason", "x"], "NOT_IN_CLUSTER");
    expect(await home.json("pc1", "revocations")).toEqual({ number: 0, entries: [] });
  });
});
