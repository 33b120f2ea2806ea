import { readFileSync } from "node:fs";
import { canonicalJson, decodeBase64Url, encodeUtf8 } from "@fed/core";
import { expectCode } from "@fed/core/testing";
import { createSigner, type GeneralJws, generateKeyPair, verifyChain } from "@fed/trust";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { appendEntries, emptyList, maxListBytes, maxSignedListBytes, signList, verifyList } from "../src/index.js";
import { createCluster, entry, hubId, links, startMs } from "./fixtures.js";

interface Case {
  name: string;
  signed: unknown;
  current?: GeneralJws;
}
interface Vectors {
  clusterId: string;
  nowMs: number;
  manifests: unknown[];
  valid: (Case & { number: number })[];
  invalid: (Case & { code: string })[];
}
const vectors = JSON.parse(
  readFileSync(new URL("../../../vectors/revocation/list.json", import.meta.url), "utf8"),
) as Vectors;

const atMs = startMs + 5000;
const { manifest, clusterId, founder } = createCluster();

describe("vectors/revocation/list.json", () => {
  const { clusterId } = vectors;
  const manifest = verifyChain(vectors.manifests, { clusterId, atMs: vectors.nowMs });
  const verify = ({ signed, current }: Case) =>
    verifyList(signed, { manifest, clusterId, current: current && verifyList(current, { manifest, clusterId }) });

  it.each(vectors.valid)("valid: $name", (one) => {
    const { list, signed } = verify(one);
    expect(list.number).toBe(one.number);
    expect(list.entries.length).toBe(one.number);
    expect(canonicalJson(list)).toEqual(decodeBase64Url(signed.payload));
  });

  it.each(vectors.invalid)("invalid: $name", async (one) => {
    await expectCode(() => verify(one), one.code);
  });

  it("has cases", () => {
    console.info(`list.json: ${vectors.valid.length} valid, ${vectors.invalid.length} invalid cases ran`);
    expect(vectors.invalid.length).toBeGreaterThan(40);
  });
});

describe("appendEntries", () => {
  it("adds at the end, counts, and dates the list", () => {
    const one = appendEntries(emptyList(clusterId), links(2), { atMs });
    expect(one).toMatchObject({ number: 2, issuedAt: atMs / 1000 });
    const two = appendEntries(one, links(1, 2), { atMs: atMs - 60_000 });
    expect(two).toMatchObject({ number: 3, issuedAt: atMs / 1000, entries: links(3) });
    expect(one.number).toBe(2);
  });

  it("refuses what is on the list, and what no list may hold", async () => {
    const list = appendEntries(emptyList(clusterId), links(2), { atMs });
    await expectCode(() => appendEntries(list, links(1), { atMs }), "REVOCATION_DUPLICATE");
    await expectCode(() => appendEntries(list, [entry("hub", "pc2")], { atMs }), "REVOCATION_INVALID_ENTRY");
  });

  it("keeps one kind's ids apart from another's", () => {
    const list = appendEntries(emptyList(clusterId), [entry("link", "x"), entry("token", "x"), entry("grant", "x")], {
      atMs,
    });
    expect(list.number).toBe(3);
  });

  it("refuses to outgrow its limit; what keeps to it fits, with sixteen signatures, into a message of a session", async () => {
    const sized = (count: number) => links(count).map((one) => ({ ...one, reason: "r".repeat(200) }));
    const perEntry = (canonicalJson(sized(1_000)).length - 2) / 1_000;
    const fitting = Math.floor(maxListBytes / perEntry) - 100;
    const list = appendEntries(emptyList(clusterId), sized(fitting), { atMs });
    const signers = Array.from({ length: 16 }, () => createSigner(generateKeyPair().secretKey));
    const bytes = encodeUtf8(JSON.stringify({ revocationList: signList(list, signers) })).length;
    expect(bytes).toBeGreaterThan(0.95 * maxSignedListBytes);
    expect(bytes).toBeLessThan(maxSignedListBytes);
    const long = sized(fitting + 200);
    await expectCode(() => appendEntries(emptyList(clusterId), long, { atMs }), "REVOCATION_TOO_LARGE");
  });
});

describe("verifyList", () => {
  const id = fc.stringMatching(/^[a-z]{1,6}$/);
  const kind = fc.constantFrom("link", "token", "grant");
  const distinct = fc
    .uniqueArray(fc.tuple(kind, id), { maxLength: 12, selector: (pair) => pair.join(" ") })
    .map((pairs) => pairs.map(([kind, id]) => entry(kind, id)));

  it("accepts exactly the lists that extend the current one", () => {
    fc.assert(
      fc.property(distinct, distinct, fc.nat(12), (a, b, shared) => {
        const common = a.slice(0, shared);
        const others = b.filter((one) => !common.some((known) => known.kind === one.kind && known.id === one.id));
        const sign = (entries: typeof a) => signList(appendEntries(emptyList(clusterId), entries, { atMs }), [founder]);
        const current = verifyList(sign(a), { manifest, clusterId });
        const next = [...common, ...others];
        const extendsCurrent = a.every((one, i) => next[i]?.kind === one.kind && next[i]?.id === one.id);
        if (extendsCurrent) {
          expect(verifyList(sign(next), { manifest, clusterId, current }).list.entries).toEqual(next);
        } else {
          const prefix = next.every((one, i) => a[i]?.kind === one.kind && a[i]?.id === one.id);
          const code = prefix ? "REVOCATION_ROLLBACK" : "REVOCATION_FORK";
          expect(() => verifyList(sign(next), { manifest, clusterId, current })).toThrow(
            expect.objectContaining({ code }) as Error,
          );
        }
      }),
      { numRuns: 150 },
    );
  });

  it("ends in a FedError whatever it is given", async () => {
    for (const value of [undefined, null, 1, "x", [], {}, { payload: 1, signatures: [] }]) {
      await expectCode(() => verifyList(value, { manifest, clusterId }), "JWS_MALFORMED");
    }
  });

  it("wants the authority of this cluster's manifest", async () => {
    const list = appendEntries(emptyList(clusterId), [entry("hub", hubId(2))], { atMs });
    const stranger = createSigner(new Uint8Array(32).fill(77));
    await expectCode(() => verifyList(signList(list, [stranger]), { manifest, clusterId }), "TOO_FEW_SIGNATURES");
    const other = createCluster(2);
    await expectCode(
      () => verifyList(signList(list, [other.founder]), { manifest: other.manifest, clusterId }),
      "REVOCATION_WRONG_CLUSTER",
    );
  });

  it("does not change with the object it was given", () => {
    const signed = structuredClone(signList(emptyList(clusterId), [founder])) as { payload: string } & GeneralJws;
    const verified = verifyList(signed, { manifest, clusterId });
    const { payload } = verified.signed;
    signed.payload = "e30";
    expect(verified.signed.payload).toBe(payload);
  });
});
