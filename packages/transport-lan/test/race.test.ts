import { CoreError, type FedError } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import type { Endpoint } from "../src/address.js";
import { LanError } from "../src/errors.js";
import { type RaceEntry, race, resolveEndpoints } from "../src/race.js";

const clock = createTestClock();
const at = (host: string, port = 1): Endpoint => ({ host, port });
const unreachable = () => new CoreError({ code: "UNREACHABLE", message: "Nobody." });

/** Attempts that end when the test says so. */
function attempts() {
  const begun: (Endpoint & RaceEntry & { win(): Promise<void>; lose(error: FedError): void })[] = [];
  const attempt = (endpoint: Endpoint, entry: RaceEntry): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    entry.signal.addEventListener("abort", () => reject(unreachable()));
    const win = () => entry.finish().then(() => resolve(endpoint.host), reject);
    begun.push({ ...endpoint, ...entry, win, lose: reject });
    return promise;
  };
  return { begun, attempt, hosts: () => begun.map(({ host }) => host) };
}

const run = (hosts: readonly string[], signal?: AbortSignal) => {
  const tries = attempts();
  const result = race(
    hosts.map((host) => at(host)),
    tries.attempt,
    { clock, timeoutMs: 5_000, signal },
  );
  result.catch(() => {});
  return { ...tries, result };
};

describe("a race", () => {
  it("begins an attempt every 250 ms, the next at once when all so far have failed; ends the others when one wins", async () => {
    const { begun, hosts, result } = run(["a", "b", "c", "d"]);
    await clock.advance(0);
    expect(hosts()).toEqual(["a"]);
    await clock.advance(249);
    expect(hosts()).toEqual(["a"]);
    await clock.advance(1);
    expect(hosts()).toEqual(["a", "b"]);
    begun[0]!.lose(unreachable());
    await clock.advance(0);
    expect(hosts()).toEqual(["a", "b"]);
    begun[1]!.lose(unreachable());
    await clock.advance(0);
    expect(hosts()).toEqual(["a", "b", "c"]);
    await begun[2]!.win();
    expect(await result).toBe("c");
    expect(begun[2]!.signal.aborted).toBe(true);
    await clock.advance(1_000);
    expect(hosts()).toEqual(["a", "b", "c"]);
  });

  it("lets one finish at a time, so that the other end of the second never thinks itself connected", async () => {
    const { begun, result } = run(["a", "b"]);
    await clock.advance(300);
    let [first, second] = ["waiting", "waiting"];
    void begun[0]!.finish().then(() => {
      first = "may";
    });
    void begun[1]!.finish().then(
      () => {
        second = "may";
      },
      () => {
        second = "may not";
      },
    );
    await clock.advance(0);
    expect([first, second]).toEqual(["may", "waiting"]);
    begun[0]!.lose(unreachable());
    await clock.advance(0);
    expect(second).toBe("may");
    begun[1]!.lose(unreachable());
    await expectCode(result, "UNREACHABLE");
  });

  it("gives all the same 5 s", async () => {
    const { begun } = run(["a", "b", "c"]);
    await clock.advance(600);
    expect(begun.map(({ timeoutMs }) => timeoutMs)).toEqual([5_000, 4_750, 4_500]);
  });

  it("fails with what says most, and with the caller's own abort", async () => {
    const lost = run(["a", "b", "c"]);
    await clock.advance(600);
    lost.begun[0]!.lose(unreachable());
    lost.begun[1]!.lose(new LanError({ code: "CERTIFICATE_UNTRUSTED", message: "No." }));
    lost.begun[2]!.lose(unreachable());
    await expectCode(lost.result, "CERTIFICATE_UNTRUSTED");
    const controller = new AbortController();
    const aborted = run(["a", "b"], controller.signal);
    await clock.advance(0);
    controller.abort();
    await expectCode(aborted.result, "ABORTED");
  });
});

describe("addresses", () => {
  const options = { clock, timeoutMs: 5_000 };

  it("take turns, IPv6 first, each once", async () => {
    const given = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "2001:db8::1", "2001:db8::2", "2001:db8::3"];
    const hosts = (
      await resolveEndpoints(
        given.map((host) => at(host)),
        options,
      )
    ).map(({ host }) => host);
    expect(hosts).toEqual(["2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2", "2001:db8::3"]);
  });

  it("of names are looked up; a name that means nothing has none", async () => {
    const local = await resolveEndpoints([at("localhost", 9)], options);
    expect(local.every(({ host, port }) => ["::1", "127.0.0.1"].includes(host) && port === 9)).toBe(true);
    expect(local.length).toBeGreaterThan(0);
    expect(await resolveEndpoints([at("nobody.invalid")], options)).toEqual([]);
  });
});
