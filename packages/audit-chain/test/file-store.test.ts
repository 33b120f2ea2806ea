import { type ChildProcess, spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readdir, rm, stat, symlink, truncate, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { decodeHex } from "@fed/core";
import { createTestClock, expectCode } from "@fed/core/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openAuditLog, verifyAuditLog } from "../src/index.js";
import { createFileSegmentStore } from "../src/node/index.js";
import { key, readAll, sampleRecords } from "./fixtures.js";

let directory: string;
const firstSegment = "00000000000000000001.seg";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "fed-audit-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (path = directory, segmentBytes = 200) =>
  openAuditLog({ store: createFileSegmentStore(path), key, segmentBytes });

describe("createFileSegmentStore", () => {
  it("keeps a log across processes' lives, in files of its owner alone", async () => {
    const path = join(directory, "deep", "log");
    const log = await open(path);
    for (const record of sampleRecords(5)) await log.append(record);
    const head = log.head();
    await log.close();
    expect((await readdir(path)).sort()).toEqual([1, 3, 5].map((n) => `0000000000000000000${n}.seg`).concat("lock"));
    if (process.platform !== "win32") {
      expect((await stat(path)).mode & 0o777).toBe(0o700);
      expect((await stat(join(path, firstSegment))).mode & 0o777).toBe(0o600);
    }
    expect(await verifyAuditLog({ store: createFileSegmentStore(path), key, expectedHead: head })).toMatchObject({
      records: 5,
    });
    await using again = await open(path);
    expect((await readAll(again)).map(({ bytes }) => bytes)).toEqual(sampleRecords(5));
    expect((await again.append(new Uint8Array(3))).seq).toBe(6);
  });

  it("verifies a directory that is not there as an empty log", async () => {
    const store = createFileSegmentStore(join(directory, "none"));
    expect((await verifyAuditLog({ store, key })).records).toBe(0);
    expect(await readdir(directory)).toEqual([]);
  });

  it("lets one writer in at a time", async () => {
    const log = await open();
    await expectCode(open(), "AUDIT_LOCKED");
    await log.close();
    await (await open()).close();
  });

  it("cuts off a torn tail and goes on", async () => {
    const log = await open();
    for (const record of sampleRecords(3)) await log.append(record);
    await log.close();
    await truncate(join(directory, "00000000000000000003.seg"), 52 + 30);
    await using again = await open();
    expect(again.droppedBytes).toBe(30);
    expect(again.head().seq).toBe(3);
    await again.append(new Uint8Array(1));
    expect(await verifyAuditLog({ store: createFileSegmentStore(directory), key })).toMatchObject({
      records: 4,
      tornBytes: 0,
    });
  });

  it("writes zeros ahead once it is in use, which nobody is shown, and leaves none", async () => {
    const log = await open(directory, 10_000_000);
    const path = join(directory, firstSegment);
    const records = Array.from({ length: 500 }, (_, i) => new Uint8Array(1000).fill(i));
    const written = 52 + 500 * 1052;
    for (const record of records) await log.append(record);
    await expect.poll(async () => (await stat(path)).size).toBeGreaterThan(written);
    expect(await verifyAuditLog({ store: createFileSegmentStore(directory), key })).toMatchObject({ tornBytes: 0 });
    // As a process that is killed leaves it.
    const killed = join(directory, "killed");
    await mkdir(killed);
    await copyFile(path, join(killed, firstSegment));
    await log.close();
    expect((await stat(path)).size).toBe(written);
    await using again = await open(killed, 10_000_000);
    expect(again.droppedBytes).toBe(0);
    await again.append(new Uint8Array(3));
    expect((await readAll(again)).map(({ bytes }) => bytes)).toEqual([...records, new Uint8Array(3)]);
  });

  it("fails with AUDIT_FAILED where no directory can be", async () => {
    await (await open()).close();
    await expectCode(open(join(directory, "lock", "log")), "AUDIT_FAILED");
  });

  it.runIf(process.platform === "linux")(
    "fails with AUDIT_FULL on a full disk and goes on when there is room",
    async () => {
      const clock = createTestClock();
      await using log = await openAuditLog({ store: createFileSegmentStore(directory), key, clock });
      await symlink("/dev/full", join(directory, firstSegment));
      await expectCode(log.append(new Uint8Array(1)), "AUDIT_FULL");
      await expectCode(log.append(new Uint8Array(1)), "AUDIT_FULL");
      await unlink(join(directory, firstSegment));
      await clock.advance(1000);
      expect((await log.append(new Uint8Array(1))).seq).toBe(1);
      expect((await verifyAuditLog({ store: createFileSegmentStore(directory), key })).records).toBe(1);
    },
  );

  it.runIf(process.platform === "linux")("fails with AUDIT_READ_ONLY where nothing may be written", async () => {
    await expectCode(open("/sys/fed-audit-chain"), "AUDIT_READ_ONLY");
  });
});

describe("a writing process that is killed", () => {
  const root = new URL("..", import.meta.url).pathname;

  /** Starts a writer and resolves once it has the log open. */
  async function startWriter(seed: number): Promise<{ child: ChildProcess; lines: string[]; ended: Promise<void> }> {
    const child = spawn(
      process.execPath,
      ["--import", "./test/source-loader.ts", "test/writing-process.ts", directory, String(seed)],
      { cwd: root, stdio: ["ignore", "pipe", "inherit"] },
    );
    const lines: string[] = [];
    const reader = createInterface({ input: child.stdout! });
    const opened = new Promise<void>((resolve, reject) => {
      reader.on("line", (line) => (line === "open" ? resolve() : lines.push(line)));
      reader.on("close", () => reject(new Error("The writer ended before it had opened the log.")));
    });
    const ended = new Promise<void>((resolve) => reader.on("close", resolve));
    await opened;
    return { child, lines, ended };
  }

  it("loses nothing it had acknowledged, and leaves no lock", async () => {
    let torn = 0;
    let records = 0;
    for (let round = 0; round < 8; round++) {
      const { child, lines, ended } = await startWriter(round * 1000);
      await expectCode(open(), "AUDIT_LOCKED");
      setTimeout(() => child.kill("SIGKILL"), 5 + ((round * 29) % 90));
      await ended;
      const [seq, tag] = (lines.at(-1) ?? "0 ").split(" ") as [string, string];
      const expectedHead = lines.length > 0 ? { seq: Number(seq), tag: decodeHex(tag) } : undefined;
      const verified = await verifyAuditLog({ store: createFileSegmentStore(directory), key, expectedHead });
      expect(verified.records).toBeGreaterThanOrEqual(Number(seq));
      torn += verified.tornBytes > 0 ? 1 : 0;
      records = verified.records;
    }
    console.info(`8 writers killed, ${records} records, ${torn} torn tails, nothing acknowledged lost`);
    await (await open()).close();
  });
});
