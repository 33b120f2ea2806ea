import { createMemoryStore, type StoreFault, type StoreOperation } from "@fed/core/memory";
import { expectCode, testStore } from "@fed/core/testing";
import { expect, it } from "vitest";
import { encodeUtf8, StoreError } from "../../src/index.js";

testStore(
  "memory",
  async () => {
    let next: StoreFault | undefined;
    const fault = ({ kind }: StoreOperation) => {
      if (kind === "get" || kind === "list") return undefined;
      const current = next;
      next = undefined;
      return current;
    };
    return {
      store: createMemoryStore({ fault }),
      failNextWrite(error, applied) {
        next = { error, applied };
      },
    };
  },
  { faults: true },
);

it("every operation can be made to fail, and the hook sees which", async () => {
  const seen: StoreOperation[] = [];
  const error = new StoreError({ code: "STORE_CORRUPT", message: "A page does not add up." });
  const store = createMemoryStore({
    fault(operation) {
      seen.push(operation);
      return { error, applied: true };
    },
  });
  await expectCode(store.get(["a"]), "STORE_CORRUPT");
  await expectCode(store.set(["a"], encodeUtf8("v")), "STORE_CORRUPT");
  await expectCode(store.delete(["a"]), "STORE_CORRUPT");
  await expectCode(store.compareAndSet(["a"], undefined, undefined), "STORE_CORRUPT");
  await expectCode(store.list(["a"]), "STORE_CORRUPT");
  expect(seen).toEqual(["get", "set", "delete", "compareAndSet", "list"].map((kind) => ({ kind, key: ["a"] })));
});
