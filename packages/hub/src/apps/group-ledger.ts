/**
 * Which process groups this hub has started, on disk: a hub that is killed cannot end its apps, so the next start does.
 * Only on Linux, where `/proc` tells a process from another that has its number by now.
 */
import { randomUUID } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import { endGroup, environmentOf, type ProcessFacts, processes, processFacts, signalGroup } from "./process-group.js";

/** The variable that tells what this run of the hub has started, and what that has started in turn. */
const runVariable = "FED_APP_RUN";

const ledgerFile = z.object({
  /** The value of {@link runVariable}. */
  run: z.uuid(),
  /** Numbers and start times mean something until the machine starts again. */
  bootId: z.string(),
  groups: z.array(z.object({ id: z.int().min(2), startTicks: z.int().min(0) })).max(4096),
});
type Group = z.infer<typeof ledgerFile>["groups"][number];

/** The groups of one hub. */
export interface GroupLedger {
  /** For the environment of whatever is added: by it a child is known whose leader is gone. */
  readonly environment: Readonly<Record<string, string>>;
  /** Writes down the group that process `id` leads. */
  add(id: number): void;
  /** Strikes out a group of which nothing is left. */
  remove(id: number): void;
  /** Ends what an earlier hub left behind, and nothing else; resolves to how many groups there were. */
  reap(): Promise<number>;
  /** Tells every group to end, without waiting: for the moment in which this process itself ends. */
  signalAll(): void;
}

/** Keeps the ledger in `path`. A file that cannot be written costs no more than the cleaning up after a hub that is killed. */
export function createGroupLedger(path: string): GroupLedger {
  const groups = new Map<number, Group>();
  const bootId = readBootId();
  const run = randomUUID();

  const write = () => {
    if (bootId === undefined) return;
    try {
      if (groups.size === 0) return rmSync(path, { force: true });
      writeFileSync(`${path}.new`, JSON.stringify({ run, bootId, groups: [...groups.values()] }), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    } catch {
      // Said above.
    }
  };

  return {
    environment: { [runVariable]: run },
    add(id) {
      groups.set(id, { id, startTicks: processFacts(id)?.startTicks ?? 0 });
      write();
    },
    remove(id) {
      if (groups.delete(id)) write();
    },
    async reap() {
      const left = leftovers(path, bootId);
      await Promise.all(left.map(endGroup));
      write();
      return left.length;
    },
    signalAll() {
      for (const id of groups.keys()) signalGroup(id, "SIGTERM");
    },
  };
}

function leftovers(path: string, bootId: string | undefined): number[] {
  let written: z.infer<typeof ledgerFile>;
  try {
    written = ledgerFile.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return [];
  }
  if (written.bootId !== bootId || written.groups.length === 0) return [];
  const running = processes();
  return written.groups.filter((group) => isStillOurs(group, written.run, running)).map(({ id }) => id);
}

/**
 * While one process of a group lives, its number is given to no other; so the group is ours if its leader is the one that
 * was written down. Where the leader is gone, another one may have had its number since, and have left children of its own:
 * the group is ours if those that are left are of its session, began after it, and one of them still has what `run` put into
 * its environment.
 */
function isStillOurs({ id, startTicks }: Group, run: string, running: readonly ProcessFacts[]): boolean {
  const leader = running.find(({ pid }) => pid === id);
  if (leader) return leader.startTicks === startTicks && leader.group === id;
  const members = running.filter(({ group }) => group === id);
  return (
    members.every((each) => each.session === id && each.startTicks >= startTicks) &&
    members.some(({ pid }) => environmentOf(pid)[runVariable] === run)
  );
}

function readBootId(): string | undefined {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return undefined;
  }
}
