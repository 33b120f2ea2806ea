import { encodeUtf8, type Store, StoreError } from "@fed/core";
import { createMemoryStore, type StoreFault, type StoreOperation } from "@fed/core/memory";
import { createTestClock, expectCode } from "@fed/core/testing";
import type { GeneralJws } from "@fed/trust";
import { describe, expect, it } from "vitest";
import {
  appendEntries,
  createRevocationChecker,
  emptyList,
  type RevocationCheckerOptions,
  type RevocationEntry,
  RevocationError,
  signList,
} from "../src/index.js";
import { createCluster, entry, hubId, links, startMs } from "./fixtures.js";

const { manifest, clusterId, founder } = createCluster();
const atMs = startMs;
const signed = (entries: RevocationEntry[], options = { atMs }) =>
  signList(appendEntries(emptyList(clusterId), entries, options), [founder]);

async function open(options: Partial<RevocationCheckerOptions> = {}) {
  const store = options.store ?? createMemoryStore();
  const added: RevocationEntry[][] = [];
  const checker = await createRevocationChecker({
    clusterId,
    clock: createTestClock(startMs),
    onChange: (entries) => added.push([...entries]),
    ...options,
    store,
  });
  return { store, checker, added };
}

const spki = "A".repeat(43);
const oneOfEach = [
  entry("hub", hubId(2)),
  entry("leaf", "0a"),
  entry("spki", spki),
  entry("operator", `alice@${hubId(3)}`),
  entry("link", "l"),
  entry("token", "t"),
  entry("grant", "g"),
];

describe("createRevocationChecker", () => {
  it("has nothing revoked at first", async () => {
    const { checker } = await open();
    expect(checker.size).toBe(0);
    expect(checker.signed()).toBeUndefined();
    expect(checker.list()).toEqual(emptyList(clusterId));
    expect(checker.isRevoked("hub", hubId(2))).toBeUndefined();
    checker.assertLeaf({ hubId: hubId(2), serial: "0a", spki });
    checker.assertPrincipals({ hubs: [hubId(2)], operators: [`alice@${hubId(3)}`], link: "l", token: "t", grant: "g" });
  });

  it("answers for each kind once a list is adopted", async () => {
    const { checker, added } = await open();
    const list = signed(oneOfEach);
    expect(await checker.adopt(list, manifest)).toEqual(oneOfEach);
    expect(added).toEqual([oneOfEach]);
    expect(checker.size).toBe(7);
    expect(checker.signed()).toEqual(list);
    for (const one of oneOfEach) expect(checker.isRevoked(one.kind, one.id)).toEqual(one);
    expect(checker.isRevoked("token", "l")).toBeUndefined();

    const good = { hubId: hubId(9), serial: "0b", spki: `B${spki.slice(1)}` };
    checker.assertLeaf(good);
    await expectCode(() => checker.assertLeaf({ ...good, hubId: hubId(2) }), "HUB_REVOKED");
    await expectCode(() => checker.assertLeaf({ ...good, serial: "0a" }), "LEAF_REVOKED");
    await expectCode(() => checker.assertLeaf({ ...good, spki }), "SPKI_REVOKED");
    checker.assertPrincipals({ hubs: [hubId(9)], operators: [`alice@${hubId(9)}`], link: "x", token: "x", grant: "x" });
    await expectCode(() => checker.assertPrincipals({ hubs: [hubId(9), hubId(2)] }), "HUB_REVOKED");
    await expectCode(() => checker.assertPrincipals({ operators: [`alice@${hubId(3)}`] }), "OPERATOR_REVOKED");
    await expectCode(() => checker.assertPrincipals({ operators: [`bob@${hubId(2)}`] }), "HUB_REVOKED");
    await expectCode(() => checker.assertPrincipals({ link: "l" }), "LINK_REVOKED");
    await expectCode(() => checker.assertPrincipals({ token: "t" }), "TOKEN_REVOKED");
    const error = await expectCode(() => checker.assertPrincipals({ grant: "g" }), "GRANT_REVOKED");
    expect(error instanceof RevocationError && error.entry).toEqual(oneOfEach[6]);
    expect(error.message).not.toContain("left");
  });

  it("writes a list once, however often a peer sends it", async () => {
    const memory = createMemoryStore();
    let writes = 0;
    const store: Store = Object.assign(Object.create(memory), {
      compareAndSet(...args: Parameters<Store["compareAndSet"]>) {
        writes++;
        return memory.compareAndSet(...args);
      },
    });
    const { checker } = await open({ store });
    const list = signed(oneOfEach);
    for (let i = 0; i < 5; i++) await checker.adopt(JSON.parse(JSON.stringify(list)), manifest);
    expect(writes).toBe(1);
    const [signature] = list.signatures;
    const forged = { ...list, signatures: [{ ...signature!, signature: `${"A".repeat(85)}A` }] };
    await expectCode(checker.adopt(forged, manifest), "BAD_SIGNATURE");
    expect((await open({ store: memory })).checker.size).toBe(oneOfEach.length);
  });

  it("remembers across a restart", async () => {
    const { store, checker } = await open();
    await checker.revoke(links(3), [founder], manifest);
    const again = await open({ store });
    expect(again.checker.list()).toEqual(checker.list());
    expect(again.checker.signed()).toEqual(checker.signed());
    expect(again.added).toEqual([]);
    await expectCode(again.checker.adopt(signed(links(2)), manifest), "REVOCATION_ROLLBACK");
    await expectCode(again.checker.adopt(signed(links(4, 1)), manifest), "REVOCATION_FORK");
    expect(again.checker.size).toBe(3);
  });

  it("does not start on a list it cannot read", async () => {
    const texts = [
      "",
      "{}",
      '{"payload":"!"}',
      JSON.stringify(signList(emptyList(createCluster(5).clusterId), [founder])),
    ];
    for (const text of texts) {
      const store = createMemoryStore();
      await store.set(["revocations", clusterId], encodeUtf8(text));
      await expectCode(open({ store }), "REVOCATION_CORRUPT");
    }
  });

  it("keeps its list under the key it is given", async () => {
    const { store, checker } = await open({ key: ["a", "b"] });
    await checker.adopt(signed(links(1)), manifest);
    expect((await store.list([])).map(({ key }) => key)).toEqual([["a", "b"]]);
  });
});

describe("revoke", () => {
  it("adds to the list, signs, saves and tells", async () => {
    const { checker, added } = await open();
    expect(await checker.revoke(links(2), [founder], manifest)).toEqual(links(2));
    expect(await checker.revoke(links(3), [founder], manifest)).toEqual(links(1, 2));
    expect(await checker.revoke(links(3), [founder], manifest)).toEqual([]);
    expect(added).toEqual([links(2), links(1, 2)]);
    const other = await open();
    expect(await other.checker.adopt(checker.signed(), manifest)).toEqual(links(3));
  });

  it("does nothing without the authority's signatures", async () => {
    const { checker, added } = await open();
    const stranger = createCluster(6).founder;
    await expectCode(checker.revoke(links(1), [stranger], manifest), "TOO_FEW_SIGNATURES");
    await expectCode(checker.revoke(links(1), [], manifest), "JWS_MALFORMED");
    await expectCode(checker.revoke([entry("hub", "pc2")], [founder], manifest), "REVOCATION_INVALID_ENTRY");
    expect(checker.size).toBe(0);
    expect(added).toEqual([]);
    expect(await checker.revoke(links(1), [founder], manifest)).toEqual(links(1));
  });

  it("keeps newer signatures over the same entries, not older ones", async () => {
    const { checker, store } = await open();
    const older = signed(links(1));
    const newer = signed(links(1), { atMs: atMs + 1000 });
    expect(await checker.adopt(older, manifest)).toEqual(links(1));
    expect(await checker.adopt(newer, manifest)).toEqual([]);
    expect(checker.signed()).toEqual(newer);
    expect(await checker.adopt(older, manifest)).toEqual([]);
    expect((await open({ store })).checker.signed()).toEqual(newer);
  });
});

describe("adopts that meet", () => {
  it("end in the larger list, in either order", async () => {
    for (const [first, second] of [
      [2, 5],
      [5, 2],
    ] as const) {
      const { checker, added } = await open();
      const results = await Promise.allSettled([
        checker.adopt(signed(links(first)), manifest),
        checker.adopt(signed(links(second)), manifest),
      ]);
      expect(checker.size).toBe(5);
      expect(added.flat()).toEqual(links(5));
      expect(results.map(({ status }) => status)).toEqual(["fulfilled", first < second ? "fulfilled" : "rejected"]);
    }
  });

  it("end in the larger list when two checkers share a store", async () => {
    const store = createMemoryStore();
    const [a, b] = [await open({ store }), await open({ store })];
    await Promise.all([a.checker.adopt(signed(links(2)), manifest), b.checker.adopt(signed(links(4)), manifest)]);
    await a.checker.adopt(signed(links(3)), manifest);
    expect(a.checker.size).toBe(4);
    expect(a.added.flat()).toEqual(links(4));
    expect((await open({ store })).checker.size).toBe(4);
    await expectCode(a.checker.adopt(signed(links(9, 1)), manifest), "REVOCATION_FORK");
  });

  it("refuse a fork that another checker has saved", async () => {
    const store = createMemoryStore();
    const [a, b] = [await open({ store }), await open({ store })];
    await a.checker.adopt(signed(links(2)), manifest);
    await expectCode(b.checker.adopt(signed(links(2, 1)), manifest), "REVOCATION_FORK");
    expect(b.checker.size).toBe(0);
  });
});

describe("a store that fails", () => {
  const failure = (code: "STORE_READ_ONLY" | "STORE_FULL") =>
    new StoreError({ code, message: "The store was told to fail." });
  const table = (["get", "compareAndSet"] as const).flatMap((kind) =>
    [false, true].flatMap((applied) =>
      (["STORE_READ_ONLY", "STORE_FULL"] as const).map((code) => ({ kind, applied, code })),
    ),
  );

  it.each(table)("$kind fails with $code, applied: $applied", async ({ kind, applied, code }) => {
    let fault: StoreFault | undefined;
    const store = createMemoryStore({ fault: (now: StoreOperation) => (now.kind === kind ? fault : undefined) });
    const { checker, added } = await open({ store });
    await checker.adopt(signed(links(1)), manifest);

    fault = { error: failure(code), applied };
    const larger = signed(links(3));
    const adopting = checker.adopt(larger, manifest);
    if (kind === "compareAndSet") {
      const error = await expectCode(adopting, "REVOCATION_UNSAVED");
      expect(error.retryable).toBe(true);
      expect(error.cause).toBe(fault.error);
    } else {
      // What the store holds is known from the last write, so there is nothing to read.
      await adopting;
    }
    expect(checker.size).toBe(3);
    expect(added.flat()).toEqual(links(3));
    await expectCode(() => checker.assertPrincipals({ link: "link-2" }), "LINK_REVOKED");

    fault = undefined;
    expect(await checker.adopt(larger, manifest)).toEqual([]);
    expect((await open({ store })).checker.size).toBe(3);
    expect(await checker.revoke(links(4), [founder], manifest)).toEqual(links(1, 3));
    expect((await open({ store })).checker.size).toBe(4);
  });

  it("does not hold up a revocation for more than five seconds", async () => {
    const clock = createTestClock(startMs);
    const memory = createMemoryStore();
    let release: (() => void) | undefined;
    const store: Store = {
      ...memory,
      async compareAndSet(...change) {
        if (!release) await new Promise<void>((resolve) => (release = resolve));
        return memory.compareAndSet(...change);
      },
    };
    const { checker, added } = await open({ store, clock });
    const adopting = expectCode(checker.adopt(signed(links(2)), manifest), "REVOCATION_UNSAVED");
    await clock.advance(4999);
    expect(added).toEqual([]);
    await clock.advance(1);
    await adopting;
    expect(added).toEqual([links(2)]);

    expect(await checker.adopt(signed(links(3)), manifest)).toEqual(links(1, 2));
    release?.();
    await clock.advance(0);
    expect((await open({ store: memory })).checker.size).toBe(3);
    expect(await checker.revoke(links(4), [founder], manifest)).toEqual(links(1, 3));
  });

  it("does not start without what it had saved", async () => {
    const fault = { error: failure("STORE_READ_ONLY"), applied: false };
    await expectCode(open({ store: createMemoryStore({ fault: () => fault }) }), "STORE_READ_ONLY");
  });
});

it("answers at once, however long the list", async () => {
  const { checker } = await open();
  const many = links(20_000).map((one) => ({ ...one, reason: "" }));
  const list: GeneralJws = signed(many);
  const adopting = performance.now();
  await checker.adopt(list, manifest);
  const adoptedMs = performance.now() - adopting;
  const asking = performance.now();
  let found = 0;
  for (let i = 0; i < 200_000; i++) if (checker.isRevoked("link", i % 2 ? "link-19999" : "link-x")) found++;
  const askedMs = performance.now() - asking;
  console.info(
    `20,000 entries adopted in ${adoptedMs.toFixed(0)} ms; ${((askedMs * 1e6) / 200_000).toFixed(0)} ns a question`,
  );
  expect(found).toBe(100_000);
  expect(askedMs).toBeLessThan(2000);
});
