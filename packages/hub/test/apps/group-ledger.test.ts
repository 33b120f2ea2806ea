import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createGroupLedger } from "../../src/apps/group-ledger.js";
import { endGroup, isGroupAlive, processFacts } from "../../src/apps/process-group.js";
import { isRunning } from "./host.js";

let root: string;
const started: ChildProcess[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fed-ledger-"));
});
afterEach(() => {
  for (const { pid } of started.splice(0)) if (isGroupAlive(pid!)) process.kill(-pid!, "SIGKILL");
  rmSync(root, { recursive: true });
});

/** A leader that ends before its child. */
const orphaning = "sleep 60 & echo $!; sleep 0.2";

/** A group of a shell and, below it, a sleep. */
async function startGroup(
  script = "trap '' TERM; sleep 60 & echo $!; wait",
  environment: Readonly<Record<string, string>> = {},
): Promise<{ leader: number; child: number }> {
  const env = { ...process.env, ...environment };
  const shell = spawn("/bin/sh", ["-c", script], { detached: true, stdio: ["ignore", "pipe", "ignore"], env });
  started.push(shell);
  const [line] = (await once(shell.stdout!, "data")) as [Buffer];
  return { leader: shell.pid!, child: Number(line.toString()) };
}

describe("a group of processes", () => {
  it("ends as a whole, at SIGTERM where that will do", async () => {
    const { leader, child } = await startGroup("sleep 60 & echo $!; wait");
    const startedAt = performance.now();
    await endGroup(leader);
    expect(performance.now() - startedAt).toBeLessThan(1_000);
    expect([leader, child].some(isRunning)).toBe(false);
  });

  it("ends as a whole, at SIGKILL where it must", async () => {
    const { leader, child } = await startGroup(
      "trap '' TERM; (trap '' TERM; while :; do sleep 1; done) & echo $!; wait",
    );
    await endGroup(leader);
    expect([leader, child].some(isRunning)).toBe(false);
  });

  it("that is none any more is no failure", async () => {
    const { leader } = await startGroup("echo 1");
    await expect.poll(() => isGroupAlive(leader)).toBe(false);
    await endGroup(leader);
  });
});

describe("the ledger of a hub that was killed", () => {
  const file = () => join(root, "app-processes.json");
  const written = () =>
    JSON.parse(readFileSync(file(), "utf8")) as { run: string; bootId: string; groups: { startTicks: number }[] };

  it("ends what it left, with all its children, and is empty then", async () => {
    const { leader, child } = await startGroup();
    createGroupLedger(file()).add(leader);
    expect(await createGroupLedger(file()).reap()).toBe(1);
    expect([leader, child].some(isRunning)).toBe(false);
    expect(existsSync(file())).toBe(false);
  });

  it("ends children whose leader is gone", async () => {
    const ledger = createGroupLedger(file());
    const { leader, child } = await startGroup(orphaning, ledger.environment);
    ledger.add(leader);
    await expect.poll(() => processFacts(leader)).toBeUndefined();
    expect(isRunning(child)).toBe(true);
    expect(await createGroupLedger(file()).reap()).toBe(1);
    expect(isRunning(child)).toBe(false);
  });

  it("leaves alone the children of another leader that has had the number since", async () => {
    const { leader, child } = await startGroup(orphaning, createGroupLedger(file()).environment);
    createGroupLedger(file()).add(leader);
    await expect.poll(() => processFacts(leader)).toBeUndefined();
    expect(await createGroupLedger(file()).reap()).toBe(0);
    expect(isRunning(child)).toBe(true);
  });

  it("leaves alone whoever has the number by now", async () => {
    const { leader } = await startGroup();
    createGroupLedger(file()).add(leader);
    const { run, bootId, groups } = written();
    const before = { run, bootId, groups: groups.map((group) => ({ ...group, startTicks: group.startTicks - 1 })) };
    for (const ledger of [before, { run, bootId: "of an earlier start of the machine", groups }]) {
      writeFileSync(file(), JSON.stringify(ledger));
      expect(await createGroupLedger(file()).reap()).toBe(0);
      expect(isRunning(leader)).toBe(true);
    }
  });

  it.each([["{"], ['{"bootId":1}'], ['{"run":"x","bootId":"x","groups":[{"id":1,"startTicks":0}]}']])(
    "that is damaged ends nothing: %s",
    async (text) => {
      writeFileSync(file(), text);
      expect(await createGroupLedger(file()).reap()).toBe(0);
      expect(existsSync(file())).toBe(false);
    },
  );

  it("that cannot be written costs nothing else", async () => {
    const ledger = createGroupLedger(join(root, "no", "such", "folder"));
    ledger.add(process.pid);
    ledger.remove(process.pid);
    expect(await ledger.reap()).toBe(0);
  });

  it("strikes out what is gone", async () => {
    const { leader } = await startGroup();
    const ledger = createGroupLedger(file());
    ledger.add(leader);
    expect(written().groups).toHaveLength(1);
    ledger.remove(leader);
    expect(existsSync(file())).toBe(false);
  });
});
