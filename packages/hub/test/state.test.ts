import { once } from "node:events";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expectCode } from "@fed/core/testing";
import { describe, expect, it } from "vitest";
import { createHub, type Hub } from "../src/index.js";
import { killProcess, loopback, startHubProcess, TestFleet, tinyDisk } from "./fleet.js";

/** A hub that has founded a cluster and has stopped. */
async function stopped(fleet: TestFleet): Promise<string> {
  const hub = await fleet.hub("pc1");
  await hub.cluster.create({ name: "home" });
  await hub.close();
  return fleet.dirOf("pc1");
}

/** Opening refuses with `code` and a next step, and leaves nothing behind that keeps a mended hub from starting. */
async function expectRefusal(dir: string, code: string): Promise<void> {
  const error = await expectCode(createHub({ dir }), code);
  expect(error.hint, error.message).toBeTruthy();
}

/** Changes one value of the store as only somebody with a file editor can. */
function editStore(dir: string, part: string, change: (value: Uint8Array) => Uint8Array): void {
  const database = new DatabaseSync(join(dir, "hub.sqlite"));
  const rows = database.prepare("SELECT key, parts, value FROM entry").all() as {
    key: Uint8Array;
    parts: string;
    value: Uint8Array;
  }[];
  const row = rows.find(({ parts }) => parts.includes(part))!;
  database.prepare("UPDATE entry SET value = ? WHERE key = ?").run(change(row.value), row.key);
  database.close();
}

describe("a port in use", () => {
  it("for HTTP ends in HTTP_PORT_IN_USE and leaves nothing open", async () => {
    await using fleet = new TestFleet();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const error = await expectCode(fleet.hub("pc1", { http: { host: "127.0.0.1", port } }), "HTTP_PORT_IN_USE");
    expect(error.hint).toBeTruthy();
    server.close();
    await once(server, "close");
    const hub = await fleet.hub("pc1", { http: { host: "127.0.0.1", port } });
    expect(hub.url).toBe(`http://127.0.0.1:${port}`);
  });

  it("for HTTP lets go of the LAN again", async () => {
    await using fleet = new TestFleet();
    const founder = await fleet.hub("pc1", { lan: loopback });
    await founder.cluster.create({ name: "home" });
    const lanPort = Number(founder.cluster.status().lan!.addresses[0]!.split(":").at(-1));
    await founder.close();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const lan = { ...loopback, listen: { host: "127.0.0.1", port: lanPort } };
    await expectCode(fleet.hub("pc1", { lan, http: { host: "127.0.0.1", port } }), "HTTP_PORT_IN_USE");
    const other = createServer().listen(lanPort, "127.0.0.1");
    await once(other, "listening");
    for (const open of [server, other]) open.close();
  });

  it("for the LAN shows in the status, and the hub listens once it is free", async () => {
    await using fleet = new TestFleet();
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    const hub = await fleet.hub("pc1", { lan: { ...loopback, listen: { host: "127.0.0.1", port } } });
    await hub.cluster.create({ name: "home" });
    expect(hub.cluster.status().lan).toMatchObject({ addresses: [], error: { code: "LAN_PORT_IN_USE" } });
    await expectCode(hub.cluster.invite(), "NO_INVITE_ADDRESS");
    server.close();
    await expect.poll(() => hub.cluster.status().lan!.addresses, { timeout: 10_000 }).toEqual([`127.0.0.1:${port}`]);
    expect(hub.cluster.status().lan!.error).toBeUndefined();
  });
});

describe("the state directory", () => {
  it("that is not there ends in STATE_MISSING", async () => {
    await using fleet = new TestFleet();
    await expectCode(createHub({ dir: fleet.dirOf("none") }), "STATE_MISSING");
  });

  it("that is a file ends in STATE_UNWRITABLE", async () => {
    await using fleet = new TestFleet();
    writeFileSync(fleet.dirOf("file"), "");
    await expectCode(createHub({ dir: fleet.dirOf("file"), name: "pc1" }), "STATE_UNWRITABLE");
  });

  it("that is in use ends in STATE_LOCKED, and is free when its hub has died", async () => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    const other = await startHubProcess(dir, "127.0.0.1:9", fleet.dirOf("effects"));
    const error = await expectCode(createHub({ dir }), "STATE_LOCKED");
    expect(error.hint).toBeTruthy();
    await killProcess(other);
    const hub = await createHub({ dir });
    await expectCode(createHub({ dir }), "STATE_LOCKED");
    await hub.close();
    await (await createHub({ dir })).close();
  });

  it.each(["leaf", "noise", "audit", "cluster"])("without its key %s ends in STATE_CORRUPT", async (key) => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    const file = join(dir, "keys", key);
    const bytes = readFileSync(file);
    rmSync(file);
    await expectRefusal(dir, "STATE_CORRUPT");
    writeFileSync(file, bytes.subarray(0, 16));
    await expectRefusal(dir, "STATE_CORRUPT");
    writeFileSync(file, bytes);
    await (await createHub({ dir })).close();
  });

  it("with another hub's keys ends in a code for each", async () => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    for (const [key, code] of [
      ["leaf", "STATE_CORRUPT"],
      ["audit", "AUDIT_TAMPERED"],
    ] as const) {
      const file = join(dir, "keys", key);
      const bytes = readFileSync(file);
      writeFileSync(file, new Uint8Array(32).fill(7));
      await expectRefusal(dir, code);
      writeFileSync(file, bytes);
    }
  });

  it.each(["chain", "leaf"])("with a damaged %s ends in STATE_CORRUPT", async (part) => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    const flip = (value: Uint8Array) => value.with(value.length >> 1, value[value.length >> 1]! ^ 1);
    editStore(dir, part, flip);
    await expectRefusal(dir, "STATE_CORRUPT");
    editStore(dir, part, flip);
    await (await createHub({ dir })).close();
  });

  it("with a shortened manifest chain ends in STATE_CORRUPT", async () => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    editStore(dir, "chain", (value) => {
      const chain = JSON.parse(Buffer.from(value).toString()) as unknown[];
      return Buffer.from(JSON.stringify(chain.slice(0, 1)));
    });
    await expectRefusal(dir, "STATE_CORRUPT");
  });

  it("with a database that is none ends in STORE_CORRUPT", async () => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    for (const name of readdirSync(dir)) if (name.startsWith("hub.sqlite-")) rmSync(join(dir, name));
    writeFileSync(join(dir, "hub.sqlite"), "x".repeat(8192));
    await expectRefusal(dir, "STORE_CORRUPT");
  });

  it("with a changed audit log ends in AUDIT_TAMPERED, with a cut one in AUDIT_TRUNCATED", async () => {
    await using fleet = new TestFleet();
    const dir = await stopped(fleet);
    const [segment] = readdirSync(join(dir, "audit")).filter((name) => name !== "lock");
    const file = join(dir, "audit", segment!);
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.with(bytes.length - 60, bytes[bytes.length - 60]! ^ 1));
    await expectRefusal(dir, "AUDIT_TAMPERED");
    rmSync(file);
    await expectRefusal(dir, "AUDIT_TRUNCATED");
    writeFileSync(file, bytes);
    await (await createHub({ dir })).close();
  });
});

describe("a disk", () => {
  it("that is read-only ends in STORE_READ_ONLY", async () => {
    using disk = tinyDisk("1m");
    if (!disk) return;
    const hub = await createHub({ dir: join(disk.path, "pc1"), name: "pc1" });
    await hub.close();
    disk.remount("ro");
    await expectRefusal(join(disk.path, "pc1"), "STORE_READ_ONLY");
    await expectCode(createHub({ dir: join(disk.path, "pc2"), name: "pc2" }), "STATE_UNWRITABLE");
    disk.remount("rw");
    await (await createHub({ dir: join(disk.path, "pc1") })).close();
  });

  it("that is full ends in STORE_FULL, and what was there stays good", async () => {
    using disk = tinyDisk("1m");
    if (!disk) return;
    const dir = join(disk.path, "pc1");
    let hub: Hub = await createHub({ dir, name: "pc1" });
    const { hubId } = hub;
    await hub.cluster.create({ name: "home" });
    await hub.close();
    disk.fill();
    await expectRefusal(dir, "STORE_FULL");
    await expectCode(createHub({ dir: join(disk.path, "pc2"), name: "pc2" }), "STORE_FULL");
    disk.free();
    hub = await createHub({ dir });
    expect(hub.hubId).toBe(hubId);
    expect(hub.cluster.status().name).toBe("home");
    await hub.close();
  });
});
