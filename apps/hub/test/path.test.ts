import { createTcpLine } from "@fed/core/testing-node";
import type { ClusterStatus, Hub, Peer } from "@fed/hub";
import { expect, it } from "vitest";
import { eventually, Home } from "./home.js";

interface PathAnswer {
  readonly paths: ReturnType<Hub["cluster"]["paths"]>;
  readonly history: ReturnType<Hub["cluster"]["pathHistory"]>;
}

it("`fed path` follows a hub from the LAN to the relay and back, with the reasons", async () => {
  await using home = new Home();
  await home.init("pc1", { cluster: "home", share: true });
  await home.init("pc2");
  const { relayAdmissionKey } = await home.json<ClusterStatus>("pc1", "cluster", "status");
  const relay = await home.start<{ url: string }>(["relay", "--listen", "127.0.0.1:0", "--admit", relayAdmissionKey]);
  const viaRelay = ["--relay", relay.up.url];
  const lan = (host: string) => ["--lan", `${host}:0`, "--no-discovery"];
  await home.up("pc1", "--mcp-config", home.apps("pc1", "notes"), ...lan("127.0.0.1"), ...viaRelay);
  await eventually(async () => {
    const { relays } = await home.get<ClusterStatus>("pc1", "/status");
    expect(relays[0]?.status).toBe("up");
  });
  const status = await home.get<ClusterStatus>("pc1", "/status");
  const [host, port] = status.lan!.addresses[0]!.split(":") as [string, string];
  await using line = await createTcpLine({ host, port: Number(port) });
  // It joins over the relay, and its own address is near to none that pc1 tells it: the line is its only way to the LAN.
  const guest = await home.up("pc2", ...viaRelay);
  const { token } = await home.json<{ token: string }>("pc1", "invite");
  await home.json("pc2", "join", token);
  await guest.stop();
  await home.up("pc2", ...lan("127.0.0.2"), "--peer", line.address, ...viaRelay);
  const path = () => home.json<PathAnswer>("pc2", "path", "pc1");
  const best = (transport: string) =>
    eventually(async () => expect((await home.get<Peer[]>("pc2", "/peers"))[0]?.path).toBe(transport));
  await best("lan");
  expect((await path()).paths[0]).toMatchObject({ transport: "lan", state: "confirmed", best: true });

  const heal = line.blackhole();
  expect(await home.json("pc2", "call", "pc1/notes", "echo", '{"text":"still here"}')).toBeTruthy();
  await best("relay");
  const away = await path();
  expect(away.paths[0]).toMatchObject({ transport: "relay", state: "confirmed", best: true });
  expect(away.paths[0]!.why).toContain("calls take it");
  expect(await home.text("pc2", "path", "pc1")).toMatch(/^PATH +STATE +RTT +WHY\n\* relay +confirmed .*\n {2}lan /);
  heal();
  await best("lan");
  const { history } = await path();
  const events = history.map(({ transport, event }) => `${transport} ${event}`);
  const since = events.slice(events.indexOf("lan suspect"));
  expect(since.slice(0, 2)).toEqual(["lan suspect", "relay chosen"]);
  expect(since.at(-1)).toBe("lan chosen");
  for (const { why, atMs } of history) expect([why.length > 0, atMs > 0]).toEqual([true, true]);
  expect(await home.text("pc2", "path", "pc1")).toMatch(
    /^\* lan +confirmed [\s\S]*lan +suspect +a ping stayed without answer\n.*relay +chosen [\s\S]*lan +chosen +preference 10/m,
  );
});
