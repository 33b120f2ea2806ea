import { describe, expect, it } from "vitest";
import type { Operator } from "../src/index.js";
import { MemoryShares } from "../src/operators/memory-shares.js";

const mib = 1024 * 1024;
const operator = (principal: string): Operator => ({ principal, roles: [], scope: "ReadWrite" });
const busy = expect.objectContaining({ code: "BUSY", retryable: true });

describe("an operator's share of memory", () => {
  it("is 128 MiB over all its exchanges; what is released makes room", () => {
    const shares = new MemoryShares();
    const all = Array.from({ length: 32 }, () => shares.hold(operator("ann")));
    for (const holding of all) holding.take(4 * mib);
    expect(all[0]!.full).toBe(true);
    expect(() => shares.hold(operator("ann")).take(1)).toThrow(busy);
    shares.hold(operator("bob")).take(4 * mib);
    all[0]!.release();
    all[0]!.release();
    const next = shares.hold(operator("ann"));
    next.take(4 * mib);
    expect(() => next.take(1)).toThrow(busy);
    for (const holding of [...all, next]) holding.release();
    expect(shares.hold(operator("ann")).full).toBe(false);
  });

  it("counts what is unread as it is now, and gives answers twice the room", () => {
    const shares = new MemoryShares();
    const [one, two] = [shares.hold(operator("ann")), shares.hold(operator("ann"))];
    expect(one.unread(200 * mib)).toBe(true);
    expect(one.full).toBe(true);
    expect(two.unread(56 * mib)).toBe(false);
    expect(two.unread(0)).toBe(true);
    expect(one.unread(100 * mib)).toBe(true);
    expect(one.full).toBe(false);
    two.take(1);
    one.release();
    expect(one.unread(500 * mib)).toBe(true);
    two.release();
    expect(two.full).toBe(false);
  });

  it("is part of 512 MiB for all operators", () => {
    const shares = new MemoryShares();
    for (let i = 0; i < 8; i++) shares.hold(operator(`op-${i}`)).take(64 * mib);
    expect(() => shares.hold(operator("late")).take(1)).toThrow(busy);
  });
});
