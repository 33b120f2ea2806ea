import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Hub } from "../src/index.js";
import { addressOf, createCalendar, loopback, TestFleet } from "./fleet.js";

const secondsPerDay = 24 * 60 * 60;

/** pc1 has founded a cluster; pc2 would like to join. */
async function strangers(fleet: TestFleet, options = {}): Promise<{ pc1: Hub; pc2: Hub }> {
  const pc1 = await fleet.hub("pc1", { lan: loopback, ...options });
  await pc1.cluster.create({ name: "home" });
  const pc2 = await fleet.hub("pc2", { lan: { ...loopback, peers: [addressOf(pc1)] }, ...options });
  return { pc1, pc2 };
}

async function refusals(hub: Hub): Promise<unknown[]> {
  const records = (await hub.audit.tail(100)).map(({ record }) => record);
  return records.filter(({ type }) => type === "join.refused").map(({ code }) => code);
}

describe("a pairing token", () => {
  it("that is malformed ends in TOKEN_MALFORMED before anything is sent", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const good = await pc1.cluster.invite();
    for (const bad of ["", "fedpair1", `${good}.x.y`, good.slice(1), good.replace(".", ".!"), "x".repeat(9000)]) {
      await expectCode(pc2.cluster.join(bad), "TOKEN_MALFORMED");
    }
    expect(await refusals(pc1)).toEqual([]);
  });

  it("that is wrong ends in TOKEN_UNKNOWN", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const [version, secret, ...rest] = (await pc1.cluster.invite()).split(".");
    const wrong = [version, secret!.replace(/^./, (c) => (c === "a" ? "b" : "a")), ...rest].join(".");
    const error = await expectCode(pc2.cluster.join(wrong), "TOKEN_UNKNOWN");
    expect(error.hint).toBeTruthy();
    await expect.poll(() => refusals(pc1)).toEqual(["TOKEN_UNKNOWN"]);
    expect(() => pc2.cluster.status()).toThrow();
  });

  it("that has expired ends in TOKEN_EXPIRED", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 1 });
    const { pc1, pc2 } = await strangers(fleet, { clock });
    const token = await pc1.cluster.invite({ ttlMs: 60_000 });
    clock.pass(0.01);
    await expectCode(pc2.cluster.join(token), "TOKEN_EXPIRED");
    await expect.poll(() => refusals(pc1)).toEqual(["TOKEN_EXPIRED"]);
  });

  it("lets in one hub and then ends in TOKEN_USED", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const pc3 = await fleet.hub("pc3", { lan: loopback });
    const token = await pc1.cluster.invite();
    const joined = await Promise.allSettled([pc2.cluster.join(token), pc3.cluster.join(token)]);
    const lost = joined.find((result) => result.status === "rejected");
    await expectCode(Promise.reject((lost as PromiseRejectedResult).reason), "TOKEN_USED");
    expect(joined.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await expect.poll(() => pc1.cluster.peers()).toHaveLength(1);
  });

  it("is closed for everybody after guesses", async () => {
    await using fleet = new TestFleet();
    const clock = createCalendar({ daysAgo: 1 });
    const { pc1, pc2 } = await strangers(fleet, { clock });
    const token = await pc1.cluster.invite();
    const [version, , ...rest] = token.split(".");
    const codes: string[] = [];
    for (let i = 0; i < 21; i++) {
      // Guests are let in one by one in a second.
      clock.pass(2 / secondsPerDay);
      const secret = "abcdefghijklmnopqrstuvwxyz".slice(i) + "a".repeat(i);
      await pc2.cluster
        .join([version, secret, ...rest].join("."))
        .catch((error: { code: string }) => codes.push(error.code));
    }
    expect(codes.slice(0, 20)).toEqual(new Array(20).fill("TOKEN_UNKNOWN"));
    clock.pass(2 / secondsPerDay);
    await expectCode(pc2.cluster.join(token), "INVITE_CLOSED");
    // Whoever guesses costs an invitation, and no more: the operator makes another.
    expect(await pc2.cluster.join(await pc1.cluster.invite())).toMatchObject({ connected: true });
  });

  it("of a hub that is gone ends in a code and a next step", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const token = await pc1.cluster.invite();
    await pc1.close();
    const error = await expectCode(pc2.cluster.join(token), "ISSUER_UNREACHABLE");
    expect(error.hint).toBeTruthy();
  });

  it("does not lead to another cluster at the same address", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const [, secret, pin] = (await pc1.cluster.invite()).split(".");
    const other = await fleet.hub("other", { lan: loopback });
    await other.cluster.create({ name: "elsewhere" });
    const hints = (await other.cluster.invite()).split(".").slice(3);
    await expectCode(pc2.cluster.join(["fedpair1", secret, pin, ...hints].join(".")), "PIN_MISMATCH");
    expect(await refusals(other)).not.toContain("TOKEN_UNKNOWN");
  });

  it("does not let in a second hub of the same name", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const impostor = await fleet.hub("impostor", { name: "pc1", lan: loopback });
    const error = await expectCode(impostor.cluster.join(await pc1.cluster.invite()), "NAME_TAKEN");
    expect(error.hint).toBeTruthy();
    await pc2.cluster.join(await pc1.cluster.invite());
    await expectCode(pc2.cluster.join(await pc1.cluster.invite()), "ALREADY_IN_CLUSTER");
    await expectCode(pc2.cluster.create({ name: "another" }), "ALREADY_IN_CLUSTER");
    await expectCode(pc2.cluster.invite(), "NOT_THE_AUTHORITY");
  });

  it("and another, used at the same moment, make two members; of two hubs with one name only one comes in", async () => {
    await using fleet = new TestFleet();
    const { pc1, pc2 } = await strangers(fleet);
    const peers = [addressOf(pc1)];
    const others = await Promise.all(
      ["pc3", "twin", "twin"].map((name, i) => fleet.hub(`dir-${i}`, { name, lan: { ...loopback, peers } })),
    );
    const joins = [pc2, ...others].map(async (hub) => hub.cluster.join(await pc1.cluster.invite()));
    const codes = await Promise.all(
      joins.map((join) =>
        join.then(
          () => "in",
          ({ code }: { code: string }) => code,
        ),
      ),
    );
    expect(codes.slice(0, 2)).toEqual(["in", "in"]);
    expect(codes.slice(2).sort()).toEqual(["NAME_TAKEN", "in"]);
    expect(
      pc1.cluster
        .status()
        .members.map(({ name }) => name)
        .sort(),
    ).toEqual(["pc1", "pc2", "pc3", "twin"]);
  });

  it("works and fails over REST as it does in code", async () => {
    await using fleet = new TestFleet();
    const http = { host: "127.0.0.1", port: 0 };
    const { pc1, pc2 } = await strangers(fleet, { http });
    const post = async (hub: Hub, path: string, body: object) => {
      const { token } = await hub.operators.issueToken({ name: "root", scope: "Admin" });
      const answer = await fetch(`${hub.url}/api/federation/${path}`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
      return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
    };
    const { status, body } = await post(pc1, "generate-pairing-token", {});
    expect(status).toBe(201);
    const token = body.token as string;
    const wrong = token.replace(/^fedpair1\../, (start) => `fedpair1.${start.endsWith("a") ? "b" : "a"}`);
    expect((await post(pc2, "pair", { token: wrong })).body).toMatchObject({ code: "TOKEN_UNKNOWN" });
    expect((await post(pc2, "pair", { token: "fedpair1.x" })).body).toMatchObject({ code: "TOKEN_MALFORMED" });
    expect(await post(pc2, "pair", { token })).toMatchObject({ status: 201, body: { connected: true } });
    expect(await post(pc2, "pair", { token })).toMatchObject({ status: 409, body: { code: "ALREADY_IN_CLUSTER" } });
  });
});

it("a hub meets its inviter again without multicast, at the address of its token", async () => {
  await using fleet = new TestFleet();
  const pc1 = await fleet.hub("pc1", { lan: loopback });
  await pc1.cluster.create({ name: "home" });
  const invitation = await pc1.cluster.invite();
  const pc2 = await fleet.hub("pc2", { lan: loopback });
  expect(await pc2.cluster.join(invitation)).toEqual({ via: "lan", connected: true });
  await pc2.close();
  const again = await fleet.hub("pc2", { lan: loopback });
  await expect.poll(() => again.cluster.peers()[0]?.path, { timeout: 10_000 }).toBe("lan");
});
