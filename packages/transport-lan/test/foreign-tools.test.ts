import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, it } from "vitest";
import { createTestCluster } from "./fixture/cluster.js";
import { missingAfterInstall } from "./fixture/debian.js";
import { candidate, createTestLan, namespacesUnavailable, startHub } from "./fixture/namespaces.js";

const fixture = fileURLToPath(new URL("./fixture/", import.meta.url));
const noNamespaces = namespacesUnavailable();
const noAvahi =
  noNamespaces ??
  missingAfterInstall(
    ["/usr/sbin/avahi-daemon", "/usr/bin/avahi-browse", "/usr/bin/dbus-daemon"],
    ["avahi-daemon", "avahi-utils", "dbus-daemon"],
  );
const noZeroconf =
  noNamespaces ??
  missingAfterInstall(["/usr/bin/python3", "/usr/lib/python3/dist-packages/zeroconf"], ["python3-zeroconf"]);
if (noAvahi) console.info(`Skipped, our records seen by Avahi: ${noAvahi}.`);
if (noZeroconf) console.info(`Skipped, our records seen by python-zeroconf: ${noZeroconf}.`);

/** A hub on host 1 of a network of its own, and what a program on one of the hosts prints. */
async function startScene() {
  const lan = createTestLan();
  lan.plug(1);
  lan.plug(2);
  const cluster = await createTestCluster();
  const hub = await startHub(lan, cluster, 1);
  return {
    lan,
    cluster,
    hub,
    look(host: number, ...command: string[]): AsyncIterator<string> {
      const args = ["netns", "exec", lan.namespace(host), ...command];
      const onlooker = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
      return createInterface({ input: onlooker.stdout! })[Symbol.asyncIterator]();
    },
    [Symbol.dispose]: () => lan.close(),
  };
}

describe.skipIf(noNamespaces !== undefined).concurrent("others see our records", () => {
  it.skipIf(noAvahi !== undefined)(
    "avahi-browse resolves host, port and text, over IPv4 and IPv6",
    async ({ expect }) => {
      using scene = await startScene();
      const { hub, look } = scene;
      const lines = look(2, "sh", `${fixture}avahi-browse.sh`, "_aiappuse._tcp", "2");
      const fields = [(await lines.next()).value, (await lines.next()).value].map((line: string) => line.split(";"));
      expect(fields.map(([, , protocol]) => protocol).sort()).toEqual(["IPv4", "IPv6"]);
      for (const [, , protocol, instance, type, , host, address, seenPort, ...text] of fields) {
        expect(instance).toMatch(/^[a-z2-7]{26}$/);
        expect(type).toBe("_aiappuse._tcp");
        expect(host).toBe(`${instance}.local`);
        if (protocol === "IPv4") expect(address).toBe("10.99.0.1");
        expect(Number(seenPort)).toBe(hub.port);
        for (const entry of ["txtvers=1", "p=1", "b=boot-1", "c=tag"]) expect(text.join(";")).toContain(`"${entry}"`);
      }
    },
  );

  it.skipIf(noAvahi !== undefined)(
    "Avahi in the same network stack and we see each other, and others see both",
    async ({ expect }) => {
      using scene = await startScene();
      const { hub, look } = scene;
      const other = await startHub(scene.lan, scene.cluster, 2);
      const shared = `10.99.0.1:${hub.port}`;
      const lines = look(1, "sh", `${fixture}avahi-browse.sh`, "_aiappuse._tcp", "6", "beside");
      // Two hubs and Avahi's own, each over IPv4 and IPv6.
      const seen = new Set<string>();
      for (let count = 0; count < 6; count++) {
        const [, , protocol, , , , , , seenPort] = String((await lines.next()).value).split(";");
        seen.add(`${protocol} ${seenPort}`);
      }
      const ports = [hub.port, other.port, 9999];
      expect([...seen].sort()).toEqual(ports.flatMap((port) => [`IPv4 ${port}`, `IPv6 ${port}`]).sort());
      await other.next(candidate("10.99.0.1:9999"));
      await hub.next(candidate("10.99.0.1:9999"));
      expect(other.said.some(candidate(shared))).toBe(true);
      await other.leave();
    },
  );

  it.skipIf(noZeroconf !== undefined)("python-zeroconf resolves the same and hears the goodbye", async ({ expect }) => {
    using scene = await startScene();
    const { hub, look } = scene;
    const lines = look(2, "/usr/bin/python3", `${fixture}zeroconf-browse.py`, "_aiappuse._tcp.local.");
    const seen = JSON.parse((await lines.next()).value) as Record<string, unknown>;
    expect(seen).toMatchObject({ port: hub.port, properties: { txtvers: "1", p: "1", b: "boot-1", c: "tag" } });
    expect(seen.addresses).toContain("10.99.0.1");
    const left = hub.leave();
    expect(JSON.parse((await lines.next()).value)).toEqual({ kind: "removed" });
    await left;
  });
});
