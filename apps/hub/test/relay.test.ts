import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, it } from "vitest";
import { eventually, Home } from "./home.js";

interface RelayUp {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
}

it.concurrent.each(["SIGINT", "SIGTERM"] as const)(
  "fed relay prints its document when it listens, and ends at %s",
  async (signal) => {
    await using home = new Home();
    const relay = await home.start<RelayUp>(["relay", "--listen", "127.0.0.1:0"]);
    expect(relay.up).toEqual({ url: `ws://127.0.0.1:${relay.up.port}`, port: relay.up.port, pid: relay.child.pid });
    expect(await (await fetch(`http://127.0.0.1:${relay.up.port}/healthz`)).text()).toBe("ok\n");
    expect(await relay.stop(signal)).toEqual({ status: 0, signal: null });
  },
);

it.concurrent("fed relay tells people where it listens and whom it admits", async () => {
  await using home = new Home();
  const child = home.spawn(["relay", "--listen", "127.0.0.1:0"]);
  let output = "";
  child.stdout!.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await eventually(() => expect(output).toMatch(/relay listening at ws:\/\/127\.0\.0\.1:\d+[\s\S]*nobody is admitted/));
});

it.concurrent("fed relay says why it cannot start", async () => {
  await using home = new Home();
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await home.refused("-", ["relay", "--listen", `127.0.0.1:${port}`], "RELAY_PORT_IN_USE");
  server.close();
  await home.refused("-", ["relay", "--admit", "nonsense"], "KEY_INVALID");
  await home.refused("-", ["relay", "--admit-file", home.path("none")], "ADMIT_FILE_UNREADABLE");
});

it.concurrent("hubs join and call through it", async () => {
  await using home = new Home();
  await Promise.all([home.init("pc1"), home.init("phone", { share: true })]);
  const { relayAdmissionKey } = await home.json<{ relayAdmissionKey: string }>("pc1", "cluster", "create", "home");
  const { up } = await home.start<RelayUp>(["relay", "--listen", "127.0.0.1:0", "--admit", relayAdmissionKey]);
  await home.up("pc1", "--relay", up.url);
  await home.up("phone", "--relay", up.url, "--mcp-config", home.apps("phone", "notes"));
  const relays = async () => (await home.json<{ relays: { status: string }[] }>("pc1", "cluster", "status")).relays;
  await eventually(async () => expect(await relays()).toMatchObject([{ status: "up" }]));
  const { token } = await home.json<{ token: string }>("pc1", "invite");
  expect(await home.text("phone", "join", token)).toMatch(/^Joined home over the relay; it has 2 members\.\n/);
  expect(await home.text("pc1", "call", "phone/notes", "echo", '{"text": "far away"}')).toBe("far away\n");
  expect(await home.text("pc1", "path", "phone")).toMatch(/^PATH +STATE +RTT +WHY\n\* relay /);
});
