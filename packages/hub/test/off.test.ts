import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loopback, TestFleet, testApp } from "./fleet.js";

/** The inet sockets of this process, by inode. */
function sockets(): Set<string> {
  const own = new Set(
    readdirSync("/proc/self/fd").flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    }),
  );
  const inet = ["tcp", "tcp6", "udp", "udp6"].flatMap((family) =>
    readFileSync(`/proc/self/net/${family}`, "utf8")
      .split("\n")
      .slice(1)
      .flatMap((line) => line.trim().split(/\s+/)[9] ?? []),
  );
  return new Set(inet.filter((inode) => own.has(inode)));
}

const linux = process.platform === "linux";

describe.runIf(linux)("federation", () => {
  it("that nobody asked for opens no socket but the HTTP port", async () => {
    await using fleet = new TestFleet();
    const before = sockets();
    const opened = () => [...sockets()].filter((inode) => !before.has(inode));
    const quiet = await fleet.hub("quiet", { apps: { echo: testApp() } });
    await quiet.apps.settled();
    const operator = quiet.operators.local("tester");
    await quiet.apps.call({ app: "echo", tool: "echo", arguments: { text: "x" } }, { operator });
    expect(opened()).toEqual([]);

    await fleet.hub("web", { http: { host: "127.0.0.1", port: 0 } });
    expect(opened()).toHaveLength(1);

    // Being asked for is not enough: without a cluster there is nobody to talk to.
    const willing = await fleet.hub("willing", {
      lan: { listen: { host: "127.0.0.1", port: 0 } },
      relays: ["ws://127.0.0.1:9"],
    });
    expect(opened()).toHaveLength(1);
    await willing.close();

    // And a cluster without a network stays by itself.
    const alone = await fleet.hub("alone");
    await alone.cluster.create({ name: "home" });
    expect(opened()).toHaveLength(1);

    const heard = await fleet.hub("heard", { lan: loopback });
    await heard.cluster.create({ name: "home" });
    expect(opened()).toHaveLength(2);
  });

  it("leaves nothing open when the hub closes", async () => {
    await using fleet = new TestFleet();
    const before = sockets();
    const hub = await fleet.hub("pc1", { lan: loopback, http: { host: "127.0.0.1", port: 0 } });
    await hub.cluster.create({ name: "home" });
    expect(sockets().size).toBe(before.size + 2);
    await hub.close();
    await hub.close();
    await expect.poll(() => sockets().size).toBe(before.size);
    expect(readdirSync(fleet.dirOf("pc1"))).not.toContain("run.json");
  });
});
