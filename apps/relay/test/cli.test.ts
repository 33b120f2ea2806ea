import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectCode } from "@fed/core/testing";
import { deriveRelayKeys, formatAdmissionKey } from "@fed/transport-relay";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openAdmitFile } from "../src/admit-file.js";
import { openCaptureFile } from "../src/capture-file.js";
import { parseListenAddress } from "../src/listen-address.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "fed-relay-"));
});
afterEach(() => rm(folder, { recursive: true }));

const key = (fill: number) => formatAdmissionKey(deriveRelayKeys(new Uint8Array(32).fill(fill)).admissionPublicKey);

test("where to listen", async () => {
  expect(parseListenAddress("127.0.0.1:7443")).toEqual({ host: "127.0.0.1", port: 7443 });
  expect(parseListenAddress("[::1]:0")).toEqual({ host: "::1", port: 0 });
  for (const bad of ["", "7443", "host:", "host:65536", "::1:80", "a:1:2"]) {
    await expectCode(() => parseListenAddress(bad), "LISTEN_ADDRESS_INVALID");
  }
});

test("a file of admission keys is read again when it changes; a broken change is reported and changes nothing", async () => {
  const path = join(folder, "keys");
  await expectCode(() => openAdmitFile(path, () => {}), "ADMIT_FILE_UNREADABLE");
  await writeFile(path, `# ours\n\n${key(1)}\n`);
  const changes: unknown[] = [];
  const file = openAdmitFile(path, (error) => void changes.push(error));
  expect(file.keys).toEqual([key(1)]);
  await appendFile(path, `${key(2)}\n`);
  await vi.waitFor(() => expect(changes).toEqual([undefined]), { timeout: 5_000 });
  expect(file.keys).toEqual([key(1), key(2)]);
  await appendFile(path, "nonsense\n");
  await vi.waitFor(() => expect(changes.length).toBe(2), { timeout: 5_000 });
  expect(changes[1]).toMatchObject({ code: "KEY_INVALID" });
  expect(file.keys).toEqual([key(1), key(2)]);
  file.close();
});

test("a capture holds every message with its direction and length", async () => {
  const path = join(folder, "capture");
  const errors: unknown[] = [];
  const capture = openCaptureFile(path, (error) => void errors.push(error));
  capture.write("in", Uint8Array.of(1, 2, 3));
  capture.write("out", Uint8Array.of(4));
  capture.close();
  expect([...(await readFile(path))]).toEqual([0x3e, 0, 0, 0, 3, 1, 2, 3, 0x3c, 0, 0, 0, 1, 4]);
  capture.write("in", Uint8Array.of(5));
  capture.write("in", Uint8Array.of(5));
  expect(errors).toMatchObject([{ code: "CAPTURE_FAILED" }]);
  await expectCode(() => openCaptureFile(folder, () => {}), "CAPTURE_FAILED");
});

const cli = join(import.meta.dirname, "../dist/cli.js");

test.skipIf(!existsSync(cli))("the command serves until it is told to stop, and says why it cannot", async () => {
  const child = spawn(process.execPath, [cli, "--listen", "127.0.0.1:0", "--admit", key(1)]);
  let output = "";
  child.stdout.on("data", (data: Buffer) => {
    output += data;
  });
  await vi.waitFor(() => expect(output).toContain("relay listening at ws://127.0.0.1:"), { timeout: 10_000 });
  const ended = new Promise((resolve) => child.on("exit", resolve));
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
  expect(output).toContain("relay stopped");

  const bad = spawn(process.execPath, [cli, "--admit", "nonsense"]);
  let errors = "";
  bad.stderr.on("data", (data: Buffer) => {
    errors += data;
  });
  expect(await new Promise((resolve) => bad.on("close", resolve))).toBe(1);
  expect(errors).toContain("KEY_INVALID");

  const half = spawn(process.execPath, [cli, "--nodes", "ws://a.test", "ws://b.test"]);
  errors = "";
  half.stderr.on("data", (data: Buffer) => {
    errors += data;
  });
  expect(await new Promise((resolve) => half.on("close", resolve))).toBe(1);
  expect(errors).toContain("NODES_INVALID");
});
