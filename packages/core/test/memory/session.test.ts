import { createMemorySessionPair } from "@fed/core/memory";
import { expectCode } from "@fed/core/testing";
import { expect, it } from "vitest";
import { CoreError, decodeUtf8, encodeUtf8, type Stream } from "../../src/index.js";

const identity = (hubId: string) => ({ hubId, clusterId: "c", name: hubId, thumbprint: "t", serial: "00", spki: "s" });

it("echoes", async () => {
  const streams: Stream[] = [];
  const [a, b] = await createMemorySessionPair(
    {
      identity: identity("a"),
      handler: { stream: (s) => s.reset(new CoreError({ code: "INTERNAL", message: "none" })) },
    },
    { identity: identity("b"), handler: { stream: (s) => void streams.push(s) } },
  );
  const mine = a.open(encodeUtf8("hello"));
  await mine.send(encodeUtf8("one"), { end: true });
  await a.ping();
  const theirs = streams[0]!;
  expect(decodeUtf8(theirs.header)).toBe("hello");
  expect(decodeUtf8((await theirs.receive())!)).toBe("one");
  expect(await theirs.receive()).toBeUndefined();
  await theirs.send(encodeUtf8("two"), { end: true });
  expect(decodeUtf8((await mine.receive())!)).toBe("two");
  expect(await mine.closed).toBeUndefined();
  expect(await theirs.closed).toBeUndefined();
  await expectCode(b.open(encodeUtf8("x")).receive(), "INTERNAL");
  const open = a.open(encodeUtf8("open"));
  b.close();
  await expectCode(open.receive(), "CLOSED");
  expect(await a.closed).toBeUndefined();
});
