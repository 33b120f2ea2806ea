/** The conformance suite of the store contract (src/store.ts): every implementation passes it unchanged. */
import { describe, expect, it } from "vitest";
import { encodeUtf8 } from "../bytes.js";
import type { FedError } from "../errors.js";
import { compareStoreKeys, maxValueBytes, type Store, StoreError, type StoreKey } from "../store.js";
import { expectCode } from "./expect-code.js";

/** An empty store; made anew for each test. */
export interface StoreFixture {
  readonly store: Store;
  /** Opens the same data again after `store` was closed. Absent: nothing outlives the store. */
  reopen?(): Promise<Store>;
  /** Makes the next write of `store` fail with `error`, having happened (`applied`) or not. Needed with `faults: true`. */
  failNextWrite?(error: FedError, applied: boolean): void;
  /** Releases what the fixture holds; the stores are closed before. */
  close?(): Promise<void>;
}

/** Options of {@link testStore}. */
export interface StoreSuiteOptions {
  /** Also test what callers must cope with when writes fail. Default false. */
  readonly faults?: boolean;
}

/** Declares one test that gets a fresh store. */
type StoreTest = (title: string, run: (store: Store, fixture: StoreFixture) => Promise<void>) => void;

/** Runs the suite over what `setup` makes; it is called once for each test. */
export function testStore(name: string, setup: () => Promise<StoreFixture>, options: StoreSuiteOptions = {}): void {
  const test: StoreTest = (title, run) =>
    it(title, async () => {
      const fixture = await setup();
      try {
        await run(fixture.store, fixture);
      } finally {
        await fixture.store.close();
        await fixture.close?.();
      }
    });
  describe(`${name}: store contract`, () => {
    describeValues(test);
    describeKeys(test);
    describeCompareAndSet(test);
    describeLife(test);
    if (options.faults) describeFaults(test);
  });
}

function describeValues(test: StoreTest): void {
  test("a value is what was set last, until deleted", async (store) => {
    expect(await store.get(["k"])).toBeUndefined();
    await store.set(["k"], bytes("one"));
    await store.set(["k"], bytes("two"));
    expect(await store.get(["k"])).toEqual(bytes("two"));
    await store.delete(["k"]);
    await store.delete(["k"]);
    expect(await store.get(["k"])).toBeUndefined();
    expect(await store.list([])).toEqual([]);
  });

  test("an empty value is not an absent one", async (store) => {
    await store.set(["k"], bytes(""));
    expect(await store.get(["k"])).toEqual(bytes(""));
    expect(await store.compareAndSet(["k"], undefined, bytes("x"))).toBe(false);
    expect(await store.compareAndSet(["k"], bytes(""), bytes("x"))).toBe(true);
  });

  test("values hold any bytes", async (store) => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    await store.set(["k"], all);
    expect(await store.get(["k"])).toEqual(all);
  });

  test("values are copied in and out", async (store) => {
    const value = bytes("value");
    const key = ["k", "part"];
    await store.set(key, value);
    value.fill(0);
    key[1] = "changed";
    const read = await store.get(["k", "part"]);
    expect(read).toEqual(bytes("value"));
    read!.fill(0);
    const [entry] = await store.list([]);
    expect(entry).toEqual({ key: ["k", "part"], value: bytes("value") });
    entry!.value.fill(0);
    expect(await store.get(["k", "part"])).toEqual(bytes("value"));
    const next = bytes("next");
    await store.compareAndSet(["k", "part"], bytes("value"), next);
    next.fill(0);
    expect(await store.get(["k", "part"])).toEqual(bytes("next"));
  });

  test("a value is at most 16 MiB", async (store) => {
    const largest = new Uint8Array(maxValueBytes).fill(7);
    await store.set(["k"], largest);
    expect((await store.get(["k"]))?.length).toBe(maxValueBytes);
    const tooLarge = new Uint8Array(maxValueBytes + 1);
    await expectCode(store.set(["k"], tooLarge), "VALUE_TOO_LARGE");
    await expectCode(store.compareAndSet(["other"], undefined, tooLarge), "VALUE_TOO_LARGE");
    expect((await store.get(["k"]))?.at(-1)).toBe(7);
    expect(await store.get(["other"])).toBeUndefined();
  });

  test("writes to one key happen in the order they were asked for", async (store) => {
    const writes = Array.from({ length: 20 }, (_, i) => store.set(["k"], bytes(`${i}`)));
    await Promise.all(writes);
    expect(await store.get(["k"])).toEqual(bytes("19"));
  });
}

function describeKeys(test: StoreTest): void {
  /** Keys that a careless encoding would confuse, each with itself as value. */
  const alike: readonly StoreKey[] = [
    ["a"],
    ["a", "b"],
    ["a", "b", "c"],
    ["ab"],
    ["ab", "c"],
    ["a/b"],
    ["a/b/c"],
    ["a", "b/c"],
    ["a/", "b"],
    ["a", "/b"],
    ["a\\b"],
    ["a.b"],
    ["a:b"],
    ["a\0b"],
    ["a\0", "b"],
    ["a\u0001b"],
    ["a,b"],
    ['a","b'],
    ["a%2Fb"],
    ["a%2fb"],
    ["a b"],
    ["a "],
    [" a"],
    ["a."],
    ["a\n"],
    ["A"],
    ["."],
    [".."],
    ["..", "a"],
    ["../a"],
    ["/"],
    ["//"],
    ["\0"],
    ["%"],
    ["*"],
    ["_"],
    ["__proto__"],
    ["constructor"],
    ["con"],
    ["é"],
    ["e\u0301"],
    ["😀"],
    ["\ufffd"],
    ["\u{10ffff}", "\uffff"],
    ["-"],
    ["~"],
    ["a".repeat(256)],
    Array.from({ length: 8 }, () => "long".repeat(64)),
    Array.from({ length: 8 }, () => "語".repeat(256)),
  ];

  test("keys that look alike are different", async (store) => {
    for (const key of alike) await store.set(key, bytes(JSON.stringify(key)));
    for (const key of alike) expect(await store.get(key)).toEqual(bytes(JSON.stringify(key)));
    const expected = [...alike].sort(compareStoreKeys);
    const listed = await store.list([]);
    expect(listed.map(({ key }) => key)).toEqual(expected);
    for (const { key, value } of listed) expect(value).toEqual(bytes(JSON.stringify(key)));
    for (const key of alike.slice(1)) await store.delete(key);
    expect((await store.list([])).map(({ key }) => key)).toEqual([["a"]]);
  });

  test("a prefix is whole parts, never part of one", async (store) => {
    for (const key of alike) await store.set(key, bytes("v"));
    for (const prefix of [...alike, ["nothing"], ["a", "nothing"]]) {
      const listed = await store.list(prefix);
      const expected = alike.filter((key) => prefix.every((part, i) => key[i] === part)).sort(compareStoreKeys);
      expect(listed.map(({ key }) => key)).toEqual(expected);
    }
  });

  test("what is listed is in the order of the parts", async (store) => {
    const ordered = [["a"], ["a", "a"], ["a", "b"], ["a", "b", "a"], ["a", "ba"], ["a!"], ["a!", "a"], ["b"]];
    for (const key of [...ordered].reverse()) await store.set(key, bytes("v"));
    expect((await store.list([])).map(({ key }) => key)).toEqual(ordered);
    expect((await store.list(["a"])).map(({ key }) => key)).toEqual(ordered.slice(0, 5));
  });

  test("what is no key is INVALID_KEY", async (store) => {
    const bad: StoreKey[] = [[""], ["a", ""], ["a".repeat(257)], new Array(9).fill("a"), ["\ud800"], ["a", "\udc00x"]];
    for (const key of [[], ...bad]) {
      await expectCode(store.get(key), "INVALID_KEY");
      await expectCode(store.set(key, bytes("v")), "INVALID_KEY");
      await expectCode(store.delete(key), "INVALID_KEY");
      await expectCode(store.compareAndSet(key, undefined, bytes("v")), "INVALID_KEY");
    }
    for (const prefix of bad) await expectCode(store.list(prefix), "INVALID_KEY");
    expect(await store.list([])).toEqual([]);
  });
}

function describeCompareAndSet(test: StoreTest): void {
  test("it happens only from the expected value", async (store) => {
    expect(await store.compareAndSet(["k"], bytes("x"), bytes("y"))).toBe(false);
    expect(await store.compareAndSet(["k"], undefined, bytes("one"))).toBe(true);
    expect(await store.compareAndSet(["k"], undefined, bytes("two"))).toBe(false);
    expect(await store.compareAndSet(["k"], bytes("on"), bytes("two"))).toBe(false);
    expect(await store.compareAndSet(["k"], bytes("one\0"), bytes("two"))).toBe(false);
    expect(await store.get(["k"])).toEqual(bytes("one"));
    expect(await store.compareAndSet(["k"], bytes("one"), bytes("two"))).toBe(true);
    expect(await store.compareAndSet(["k"], bytes("one"), undefined)).toBe(false);
    expect(await store.compareAndSet(["k"], bytes("two"), undefined)).toBe(true);
    expect(await store.get(["k"])).toBeUndefined();
    expect(await store.compareAndSet(["k"], undefined, undefined)).toBe(true);
  });

  test("of many at once one wins", async (store) => {
    const racers = Array.from({ length: 50 }, (_, i) => store.compareAndSet(["k"], undefined, bytes(`${i}`)));
    const outcomes = await Promise.all(racers);
    expect(outcomes.filter((won) => won).length).toBe(1);
    expect(await store.get(["k"])).toEqual(bytes(`${outcomes.indexOf(true)}`));
  });

  test("a counter loses no step", async (store) => {
    await store.set(["counter"], bytes("0"));
    const workers = Array.from({ length: 8 }, async () => {
      for (let done = 0; done < 10; ) {
        const current = await store.get(["counter"]);
        const next = bytes(`${Number(new TextDecoder().decode(current)) + 1}`);
        if (await store.compareAndSet(["counter"], current, next)) done++;
      }
    });
    await Promise.all(workers);
    expect(await store.get(["counter"])).toEqual(bytes("80"));
  });
}

function describeLife(test: StoreTest): void {
  test("a closed store refuses everything", async (store) => {
    await store.set(["k"], bytes("v"));
    await store.close();
    await store.close();
    await expectCode(store.get(["k"]), "STORE_CLOSED");
    await expectCode(store.set(["k"], bytes("v")), "STORE_CLOSED");
    await expectCode(store.delete(["k"]), "STORE_CLOSED");
    await expectCode(store.compareAndSet(["k"], undefined, bytes("v")), "STORE_CLOSED");
    await expectCode(store.list([]), "STORE_CLOSED");
  });

  test("disposing of a store closes it", async (store) => {
    {
      await using held = store;
      await held.set(["k"], bytes("v"));
    }
    await expectCode(store.get(["k"]), "STORE_CLOSED");
  });

  test("what was stored outlives the store where it promises so", async (store, fixture) => {
    await store.set(["a", "b"], bytes("kept"));
    await store.set(["gone"], bytes("v"));
    await store.delete(["gone"]);
    await store.compareAndSet(["a", "b"], bytes("kept"), bytes("changed"));
    await store.close();
    const again = await fixture.reopen?.();
    if (again) expect(await again.list([])).toEqual([{ key: ["a", "b"], value: bytes("changed") }]);
    await again?.close();
    await expectCode(store.list([]), "STORE_CLOSED");
  });
}

function describeFaults(test: StoreTest): void {
  const full = new StoreError({ code: "STORE_FULL", message: "No space is left." });
  for (const applied of [false, true]) {
    const how = applied ? "happened nonetheless" : "did not happen";

    test(`a failed write that ${how} leaves one of the two values`, async (store, fixture) => {
      await store.set(["k"], bytes("old"));
      fixture.failNextWrite!(full, applied);
      await expectCode(store.set(["k"], bytes("new")), "STORE_FULL");
      expect(await store.get(["k"])).toEqual(bytes(applied ? "new" : "old"));
      fixture.failNextWrite!(full, applied);
      await expectCode(store.delete(["k"]), "STORE_FULL");
      expect(await store.get(["k"])).toEqual(applied ? undefined : bytes("old"));
    });

    test(`a failed compareAndSet that ${how} can be settled by reading`, async (store, fixture) => {
      fixture.failNextWrite!(full, applied);
      await expectCode(store.compareAndSet(["k"], undefined, bytes("mine")), "STORE_FULL");
      expect(await store.compareAndSet(["k"], undefined, bytes("mine"))).toBe(!applied);
      expect(await store.get(["k"])).toEqual(bytes("mine"));
    });
  }
}

function bytes(text: string): Uint8Array {
  return encodeUtf8(text);
}
