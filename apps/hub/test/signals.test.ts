import { once } from "node:events";
import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventually, Home, isAlive } from "./home.js";

/** A hub with the apps `names`, each of which has answered, and the ids of their processes. */
async function withApps(home: Home, ...names: string[]) {
  await home.init("pc1");
  const hub = await home.up("pc1", "--mcp-config", home.apps("pc1", ...names));
  for (const name of names) await home.text("pc1", "call", `pc1/${name.replace("!", "")}`, "echo");
  const pids = home.heard("pc1").map((line) => Number(/^pid (\d+)$/.exec(line)?.[1]));
  expect(pids.filter((pid) => pid > 0 && isAlive(pid))).toHaveLength(names.length);
  return { hub, pids };
}

describe.concurrent("fed up ends", () => {
  it.for(["SIGINT", "SIGTERM"] as const)(
    "at %s with status 0 and leaves no process and no run.json",
    async (signal) => {
      await using home = new Home();
      const { hub, pids } = await withApps(home, "notes", "files");
      expect(await hub.stop(signal)).toEqual({ status: 0, signal: null });
      expect(pids.some(isAlive)).toBe(false);
      expect(existsSync(home.path("pc1/run.json"))).toBe(false);
    },
  );

  it("with an app that does not want to", async () => {
    await using home = new Home();
    const { hub, pids } = await withApps(home, "notes!");
    expect(await hub.stop()).toEqual({ status: 0, signal: null });
    expect(home.heard("pc1")).toContain("SIGTERM");
    expect(pids.some(isAlive)).toBe(false);
  });

  it.for(["SIGINT", "SIGTERM"] as const)("at once when %s comes after SIGINT", async (second) => {
    await using home = new Home();
    const { hub, pids } = await withApps(home, "notes!");
    const ended = once(hub.child, "exit");
    hub.child.kill("SIGINT");
    // The hub is closing once it has taken its run.json away; the app keeps it from being done.
    await eventually(() => expect(existsSync(home.path("pc1/run.json"))).toBe(false));
    hub.child.kill(second);
    expect(await ended).toEqual([null, second]);
    for (const pid of pids) process.kill(pid, "SIGKILL");
  });
});

it.concurrent("Ctrl-C of fed call cancels the call in the app", async () => {
  await using home = new Home();
  await withApps(home, "notes");
  const call = home.spawn(["--dir", home.path("pc1"), "call", "pc1/notes", "wait"]);
  await home.hears("pc1", "waiting");
  call.kill("SIGINT");
  await home.hears("pc1", "cancelled");
});
