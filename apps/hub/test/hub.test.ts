import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { describe, expect, it } from "vitest";
import { Home, type HubUp } from "./home.js";

describe.concurrent("fed init", () => {
  it("makes an identity and prints the admin token once, in either form", async () => {
    await using home = new Home();
    const made = await home.json<{ hubId: string; name: string; dir: string; token: string }>(
      "pc1",
      "init",
      "--name",
      "pc1",
    );
    expect(made).toEqual({
      hubId: expect.stringMatching(/^[a-z2-7]{26}$/),
      name: "pc1",
      dir: home.path("pc1"),
      token: expect.stringMatching(/^fedop1\./),
    });
    expect(statSync(home.path("pc1")).mode & 0o777).toBe(0o700);
    expect(readFileSync(home.path("pc1/hub.sqlite")).includes(made.token)).toBe(false);
    const text = await home.text("pc2", "init", "--name", "pc2");
    expect(text).toMatch(/^Hub pc2 is in .*\nIts admin token, shown this once: fedop1\.\S+\n/);
  });

  it("leaves a hub that is there as it is", async () => {
    await using home = new Home();
    const { hubId } = await home.json<{ hubId: string }>("pc1", "init", "--name", "pc1");
    await home.refused("pc1", ["init", "--name", "other"], "STATE_EXISTS");
    expect((await home.up("pc1")).up).toMatchObject({ hubId, name: "pc1" });
  });

  it("uses FED_DIR, and without it .fed at home", async () => {
    await using home = new Home();
    const env = { FED_DIR: home.path("elsewhere") };
    expect((await home.run(["init", "--name", "pc1"], { env })).status).toBe(0);
    expect(existsSync(home.path("elsewhere/hub.sqlite"))).toBe(true);
    expect((await home.run(["init", "--name", "pc1"], { env: { FED_DIR: "" } })).status).toBe(0);
    expect(existsSync(home.path(".fed/hub.sqlite"))).toBe(true);
  });

  it("says that a place cannot be written", async () => {
    await using home = new Home();
    writeFileSync(home.path("file"), "");
    await home.refused("file", ["init", "--name", "pc1"], "STATE_UNWRITABLE");
    mkdirSync(home.path("locked"));
    chmodSync(home.root, 0o755);
    chmodSync(home.path("locked"), 0o555);
    // The superuser may write anywhere, so the command is run as somebody else.
    const user = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
    const { status, stderr } = await home.run(
      ["--json", "--dir", home.path("locked/pc1"), "init", "--name", "pc1"],
      user,
    );
    expect(status).toBe(1);
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "STATE_UNWRITABLE", hint: expect.any(String) } });
  });
});

describe.concurrent("fed up", () => {
  it("prints its document when it serves, and not before", async () => {
    await using home = new Home();
    const { token } = await home.json<{ token: string }>("pc1", "init", "--name", "pc1");
    const { up, child } = await home.up("pc1");
    expect(up).toEqual({
      hubId: expect.any(String),
      name: "pc1",
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      mcp: `${up.url}/mcp`,
      pid: child.pid,
    });
    expect((await fetch(`${up.url}/readyz`)).status).toBe(200);
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${up.url}/api/federation/identity`, { headers })).status).toBe(200);
    expect(statSync(home.path("pc1/run.json")).mode & 0o777).toBe(0o600);
  });

  it("tells a person where agents connect to", async () => {
    await using home = new Home();
    await home.init("pc1");
    const child = home.spawn(["--dir", home.path("pc1"), "up"]);
    const [chunk] = (await once(child.stdout!, "data")) as [Buffer];
    expect(chunk.toString()).toMatch(/^Hub pc1 is up\.\nAgents connect to http:\/\/127\.0\.0\.1:\d+\/mcp /);
  });

  it("needs a hub", async () => {
    await using home = new Home();
    await home.refused("pc1", ["up"], "STATE_MISSING");
    await home.refused("pc1", ["cluster", "status"], "STATE_MISSING");
  });

  it("says that its port is in use", async () => {
    await using home = new Home();
    await home.init("pc1");
    const server = createTcpServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    await home.refused("pc1", ["up", "--http", `127.0.0.1:${port}`], "HTTP_PORT_IN_USE");
    server.close();
    expect((await home.up("pc1", "--http", `127.0.0.1:${port}`)).up.url).toBe(`http://127.0.0.1:${port}`);
  });

  it("names every mistake in a damaged mcpServers file", async () => {
    await using home = new Home();
    await home.init("pc1");
    const file = home.path("mcp.json");
    const mistakes = async (content: string) => {
      writeFileSync(file, content);
      return (await home.refused("pc1", ["up", "--mcp-config", file], "APP_CONFIG_INVALID")).message;
    };
    expect(await mistakes("{")).toContain(file);
    expect(await mistakes("{}")).toContain("mcpServers:");
    expect(await mistakes('{"mcpServers": {"a": {"command": "x"}, "a": {"command": "y"}}}')).toContain(file);
    const many = await mistakes(
      JSON.stringify({
        mcpServers: {
          typo: { comand: "x" },
          number: { command: 5 },
          list: { command: "x", args: "--all" },
          ftp: { url: "ftp://example.com" },
          nothing: null,
          "no name": { command: "x" },
          good: { command: "x" },
        },
      }),
    );
    for (const where of ["typo.command", "number.command", "list.args", "ftp.url", "nothing", "no name"])
      expect(many).toContain(`mcpServers.${where}: `);
    expect(many).not.toContain("mcpServers.good");
    await home.refused("pc1", ["up", "--mcp-config", home.path("none.json")], "APP_CONFIG_INVALID");
  });

  it("runs an app that does not start next to those that do", async () => {
    await using home = new Home();
    await home.init("pc1");
    const config = JSON.parse(readFileSync(home.apps("pc1", "notes"), "utf8")) as {
      mcpServers: Record<string, unknown>;
    };
    config.mcpServers.broken = { command: home.path("no-such-command") };
    writeFileSync(home.path("mcp.json"), JSON.stringify(config));
    await home.up("pc1", "--mcp-config", home.path("mcp.json"));
    await home.text("pc1", "call", "pc1/notes", "echo");
    const failure = await home.refused("pc1", ["call", "pc1/broken", "echo"], "APP_UNAVAILABLE");
    expect(failure.message).toContain("ENOENT");
  });
});

describe.concurrent("one directory, one hub", () => {
  it("a second one is refused while the first runs, and so is whatever needs the directory for itself", async () => {
    await using home = new Home();
    await home.init("pc1");
    const { up } = await home.up("pc1");
    await home.refused("pc1", ["up"], "STATE_LOCKED");
    expect((await fetch(`${up.url}/readyz`)).status).toBe(200);
    expect(await home.json("pc1", "peers")).toEqual([]);
  });

  it("commands on a stopped hub wait for each other, and for a hub that starts", async () => {
    await using home = new Home();
    await home.init("pc1");
    const shares = ["a", "b", "c"].map((app) => home.json("pc1", "share", app, "cluster"));
    const hub = home.up("pc1");
    await Promise.all([...shares, hub]);
    const { apps } = await home.json<{ apps: object }>("pc1", "share", "d", "cluster");
    expect(Object.keys(apps).sort()).toEqual(["a", "b", "c", "d"]);
  });

  it("what a killed hub leaves behind is in nobody's way", async () => {
    await using home = new Home();
    await home.init("pc1");
    const first = await home.up("pc1");
    await first.stop("SIGKILL");
    expect(existsSync(home.path("pc1/run.json"))).toBe(true);
    await home.refused("pc1", ["apps"], "HUB_NOT_RUNNING");
    expect(await home.json("pc1", "peers")).toEqual([]);
    expect((await home.up("pc1")).up.hubId).toBe(first.up.hubId);
  });

  it("nor is it when its process id or its port belong to somebody else by now", async () => {
    await using home = new Home();
    await home.init("pc1");
    const leftover = (run: object) =>
      writeFileSync(home.path("pc1/run.json"), JSON.stringify({ pid: process.pid, token: "fedop1.x", ...run }));
    const other = createServer((_request, response) => response.writeHead(200).end("hello")).listen(0, "127.0.0.1");
    await once(other, "listening");
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;

    const { up: another } = await startAnother(home);
    leftover({ url: another.url });
    await home.refused("pc1", ["apps"], "HUB_NOT_RUNNING");
    leftover({ url });
    await home.refused("pc1", ["apps"], "HUB_NOT_RUNNING");
    other.close();
    leftover({ url });
    await home.refused("pc1", ["apps"], "HUB_NOT_RUNNING");
    writeFileSync(home.path("pc1/run.json"), "{");
    await home.refused("pc1", ["apps"], "HUB_NOT_RUNNING");
    expect(await home.json("pc1", "peers")).toEqual([]);
    await home.up("pc1");
  });

  it("somebody who takes the connection and says nothing is found out, with what to do", async () => {
    await using home = new Home();
    await home.init("pc1");
    const silent = createTcpServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    writeFileSync(home.path("pc1/run.json"), JSON.stringify({ url, pid: process.pid, token: "fedop1.x" }));
    const { hint } = await home.refused("pc1", ["apps"], "HUB_UNREACHABLE");
    expect(hint).toContain("remove that file");
    silent.close();
  });

  it("the token in run.json is no longer good when its run is over", async () => {
    await using home = new Home();
    await home.init("pc1");
    const first = await home.up("pc1");
    const { token } = JSON.parse(readFileSync(home.path("pc1/run.json"), "utf8")) as { token: string };
    const ask = async (up: HubUp) =>
      (await fetch(`${up.url}/api/federation/identity`, { headers: { authorization: `Bearer ${token}` } })).status;
    expect(await ask(first.up)).toBe(200);
    await first.stop();
    const second = await home.up("pc1");
    expect(await ask(second.up)).toBe(401);
  });
});

async function startAnother(home: Home) {
  await home.init("pc2");
  return home.up("pc2");
}
