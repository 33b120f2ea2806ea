import { cpSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Home, type HubUp, type Running } from "./home.js";

interface Entry {
  readonly seq: number;
  readonly record: { readonly type: string; readonly atMs: number };
}

const home = new Home();
let hub: Running<HubUp>;
beforeAll(async () => {
  await home.init("pc1");
  hub = await home.up("pc1", "--mcp-config", home.apps("pc1", "notes"));
  await home.text("pc1", "cluster", "create", "home");
  await home.text("pc1", "call", "notes", "echo");
  await home.text("pc1", "share", "notes", "cluster");
});
afterAll(() => home[Symbol.asyncDispose]());

const exported = async (log: string[] = []) =>
  (await home.text("pc1", "audit", "export", ...log))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Entry);

/** A copy of the log to be damaged, and the path of its last segment. */
function copyOf(name: string): { copy: string; segment: string } {
  const copy = home.path(name);
  cpSync(home.path("pc1/audit"), copy, { recursive: true });
  return {
    copy,
    segment: join(
      copy,
      readdirSync(copy)
        .filter((file) => file.endsWith(".seg"))
        .at(-1)!,
    ),
  };
}

it.each(["runs", "is stopped"])("while the hub %s, the log verifies and all of it comes out", async (state) => {
  if (state === "is stopped") await hub.stop();
  const { records, head, tornBytes, log } = await home.json<Record<string, unknown>>("pc1", "audit", "verify");
  expect({ head, tornBytes, log }).toEqual({ head: records, tornBytes: 0, log: home.path("pc1/audit") });
  expect(await home.text("pc1", "audit", "verify")).toBe(`${records} records, every one as it was written.\n`);

  const entries = await exported();
  expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: records as number }, (_, i) => i + 1));
  const types = entries.map(({ record }) => record.type);
  expect(types).toEqual(expect.arrayContaining(["cluster.created", "call.decision", "policy.changed"]));
  expect(await home.json("pc1", "audit", "export")).toEqual(entries);

  expect(await home.json("pc1", "audit", "tail", "--count", "2")).toEqual(entries.slice(-2));
  const lines = (await home.text("pc1", "audit", "tail")).trimEnd().split("\n");
  expect(lines).toHaveLength(Math.min(20, records as number));
  expect(lines.at(-1)).toMatch(/^ +\d+ {2}\d{4}-\d\d-\d\dT\S+Z {2}policy\.changed/);
});

it("more records come out than the API would ever hand over, however slowly they are read", async () => {
  await using own = new Home();
  await own.init("pc1");
  const { up } = await own.up("pc1", "--mcp-config", own.apps("pc1", "notes"));
  const { token } = JSON.parse(readFileSync(own.path("pc1/run.json"), "utf8")) as { token: string };
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  for (let round = 0; round < 13; round++) {
    const changes = Array.from({ length: 80 }, (_, i) =>
      fetch(`${up.url}/api/federation/share`, {
        method: "POST",
        headers,
        body: JSON.stringify({ app: `app-${i % 8}`, target: `role:r${round}` }),
      }).then((response) => response.text()),
    );
    await Promise.all(changes);
  }
  const { records } = await own.json<{ records: number }>("pc1", "audit", "verify");
  expect(records).toBeGreaterThan(1000);
  expect((await own.text("pc1", "audit", "export")).trimEnd().split("\n")).toHaveLength(records);
  expect(await own.json("pc1", "audit", "export")).toHaveLength(records);

  const reader = own.spawn(["--dir", own.path("pc1"), "audit", "export"]);
  reader.stdout!.once("data", () => reader.stdout!.destroy());
  const [status] = await new Promise<[number | null]>((resolve) => reader.once("exit", (code) => resolve([code])));
  expect(status).toBe(0);
});

it("one changed byte is found, with the record it is in; what comes before it is handed out", async () => {
  const { copy, segment } = copyOf("changed");
  const bytes = readFileSync(segment);
  const at = bytes.indexOf("call.decision");
  bytes[at]! ^= 1;
  writeFileSync(segment, bytes);
  const failure = await home.refused("pc1", ["audit", "verify", "--log", copy], "AUDIT_TAMPERED");
  const seq = Number(/record (\d+)/i.exec(failure.message)?.[1]);
  expect(seq).toBeGreaterThan(1);
  const ended = await home.run(["--dir", home.path("pc1"), "audit", "export", "--log", copy]);
  expect(ended.status).toBe(1);
  expect(ended.stdout.trimEnd().split("\n")).toHaveLength(seq - 1);
  expect(ended.stderr).toContain("AUDIT_TAMPERED");
});

it("a log that was cut short is found out by the head that the hub wrote down", async () => {
  const { copy, segment } = copyOf("short");
  const bytes = readFileSync(segment);
  truncateSync(segment, bytes.lastIndexOf('{"atMs"') - 64);
  await home.refused("pc1", ["audit", "verify", "--log", copy], "AUDIT_TRUNCATED");
});

it("a hub does not start on a log that was changed", async () => {
  await hub.stop();
  const segment = readdirSync(home.path("pc1/audit")).find((file) => file.endsWith(".seg"))!;
  const file = home.path("pc1/audit", segment);
  const bytes = readFileSync(file);
  const changed = Buffer.from(bytes);
  changed[changed.indexOf("cluster.created")]! ^= 1;
  writeFileSync(file, changed);
  await home.refused("pc1", ["up"], "AUDIT_TAMPERED");
  writeFileSync(file, bytes);
  hub = await home.up("pc1");
});

it("a directory without a hub has no log", async () => {
  for (const command of ["verify", "export", "tail"])
    await home.refused("nowhere", ["audit", command], "STATE_MISSING");
  expect(existsSync(home.path("nowhere"))).toBe(false);
});
