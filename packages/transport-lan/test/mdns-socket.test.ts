import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { announcementRecords, query, question, response } from "../src/dns-records.js";
import { readPacket, writePacket } from "../src/mdns-socket.js";

const { pointer, service, text, addresses } = announcementRecords({
  instance: "instance",
  port: 7443,
  bootId: "boot",
  tag: "tag",
  addresses: ["192.0.2.1", "fe80::1"],
});
const packet = writePacket(response([pointer, service, text, ...addresses]));

/** A packet whose header says `count` of the section that begins at byte `offset`. */
function claiming(offset: 4 | 6 | 8 | 10, count: number): Buffer {
  const bytes = Buffer.from(packet);
  bytes.writeUInt16BE(count, offset);
  return bytes;
}

describe("packets", () => {
  it("are read as they were written", () => {
    const heard = readPacket(packet)!;
    expect(heard.type).toBe("response");
    expect(heard.answers.map(({ type }) => type)).toEqual(["PTR", "SRV", "TXT", "A", "AAAA"]);
    const asked = readPacket(writePacket({ ...query([question("x.local", "ANY")], [pointer]), truncated: true }))!;
    expect(asked).toMatchObject({ type: "query", truncated: true, questions: [{ name: "x.local", type: "ANY" }] });
    expect(asked.answers).toMatchObject([{ name: pointer.name, data: pointer.data }]);
  });

  it.each([
    ["shorter than a header", Buffer.alloc(11)],
    ["larger than 9000 bytes", Buffer.concat([packet, Buffer.alloc(9_000)])],
    ["with more questions than 512", claiming(4, 513)],
    ["with more records than 512", claiming(10, 65_535)],
    ["with records that are not there", claiming(6, 500)],
    ["with an operation other than a query", Buffer.concat([Buffer.from([0, 0, 0x28, 0]), packet.subarray(4)])],
    ["with a result other than success", Buffer.concat([Buffer.from([0, 0, 0x84, 3]), packet.subarray(4)])],
    ["with a name that points to itself", Buffer.from("0000000000010000000000 00c00c00010001".replace(" ", ""), "hex")],
  ])("%s are dropped", (_what, bytes) => {
    expect(readPacket(bytes)).toBeUndefined();
  });

  it("of any bytes end in a message or in nothing", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (bytes) => void readPacket(Buffer.from(bytes))));
    const changes = fc.array(fc.tuple(fc.nat(packet.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(changes, (edits) => {
        const bytes = Buffer.from(packet);
        for (const [at, value] of edits) bytes[at] = value;
        readPacket(bytes);
      }),
      { numRuns: 2_000 },
    );
  });
});
