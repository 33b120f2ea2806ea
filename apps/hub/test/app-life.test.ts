import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { eventually, Home, isAlive } from "./home.js";

interface Health {
  readonly app: string;
  readonly status: string;
  readonly pid?: number;
  readonly restarts: number;
  readonly lastError?: { readonly message: string };
}

const health = async (home: Home, app: string) =>
  (await home.json<{ apps: Health[] }>("pc1", "apps", "health")).apps.find((each) => each.app === app)!;

/** `pc1` with the fixture under each name. */
async function withApps(...names: string[]) {
  const home = new Home();
  await home.init("pc1");
  const file = home.apps("pc1", ...names);
  const hub = await home.up("pc1", "--mcp-config", file);
  const change = (edit: (apps: Record<string, object>) => void) => {
    const config = JSON.parse(readFileSync(file, "utf8")) as { mcpServers: Record<string, object> };
    edit(config.mcpServers);
    writeFileSync(file, JSON.stringify(config));
  };
  return { home, hub, file, change };
}

describe.concurrent("fed apps", () => {
  it("shows apps that wait for their first call, and hides those that cannot be used", async () => {
    const { home } = await withApps("notes", "files");
    await using _home = home;
    expect(await home.text("pc1", "apps")).toMatch(/^pc1\/notes +local +idle$/m);
    expect(home.heard("pc1")).toEqual([]);
    await home.text("pc1", "apps", "stop", "files");
    expect(await home.text("pc1", "apps")).not.toContain("files");
    expect(await home.text("pc1", "apps", "--all")).toMatch(/^pc1\/files +local +stopped$/m);
  });

  it("launch, stop and restart an app", async () => {
    const { home } = await withApps("notes");
    await using _home = home;
    const { pid } = await home.json<Health>("pc1", "apps", "launch", "notes");
    expect(isAlive(pid!)).toBe(true);
    expect(await home.json("pc1", "apps", "stop", "notes")).toMatchObject({ app: "notes", status: "stopped" });
    expect(isAlive(pid!)).toBe(false);
    const { hint } = await home.refused("pc1", ["call", "notes", "echo"], "APP_UNAVAILABLE");
    expect(hint).toContain("fed apps launch notes");
    expect(await home.text("pc1", "apps", "restart", "notes")).toMatch(/^App notes runs anew, as process \d+\.\n$/);
    expect(await health(home, "notes")).toMatchObject({ status: "ready", restarts: 1 });
    await home.refused("pc1", ["apps", "launch", "nothing"], "APP_UNKNOWN");
    await home.refused("pc1", ["apps", "bounce", "notes"], "USAGE", 2);
  });

  it("show what an app printed, without its secrets", async () => {
    const { home, change } = await withApps("notes");
    await using _home = home;
    change((apps) => {
      const script = 'echo "key $KEY" >&2; echo "second line" >&2; exit 7';
      apps.broken = { command: "/bin/sh", args: ["-c", script], env: { KEY: "s3cr3t-of-ann" } };
    });
    await eventually(async () => expect(await health(home, "broken")).toBeTruthy());
    const { message } = await home.refused("pc1", ["apps", "launch", "broken"], "APP_START_FAILED");
    expect(message).toContain("status 7 — it printed: second line");
    expect(await home.text("pc1", "apps", "logs", "broken", "--lines", "2")).toBe("key [redacted]\nsecond line\n");
    expect(await home.text("pc1", "apps", "logs", "notes")).toBe("");
    await home.refused("pc1", ["apps", "logs", "broken", "--lines", "all"], "USAGE", 2);
    expect(await home.text("pc1", "apps", "health")).toMatch(/^broken, \d+ s ago: App broken did not start: .*$/m);
  });
});

describe.concurrent("the file of fed up --mcp-config", () => {
  it("is watched: what changes is in force, what does not is not touched, and mistakes are shown", async () => {
    const { home, file, change } = await withApps("notes", "files");
    await using _home = home;
    await home.text("pc1", "call", "notes", "echo");
    const { pid } = await health(home, "notes");
    change((apps) => {
      apps.more = { ...apps.files };
      delete apps.files;
    });
    await eventually(async () => {
      const names = (await home.json<{ app: string }[]>("pc1", "apps")).map(({ app }) => app);
      expect(names).toEqual(["more", "notes"]);
    });
    writeFileSync(file, "{");
    await eventually(async () => {
      const doctor = await home.run(["--dir", home.path("pc1"), "doctor"]);
      expect(doctor.status).toBe(1);
      expect(doctor.stdout).toMatch(/^FAIL {2}apps file .*pc1\.json: .* \(APP_CONFIG_INVALID\)$/m);
    });
    expect(await home.text("pc1", "apps", "health")).toContain("is not in force");
    expect(await health(home, "notes")).toMatchObject({ status: "ready", pid, restarts: 0 });
  });
});

it.concurrent("a hub that was killed leaves no app behind once it is started again", async () => {
  const { home, hub, file } = await withApps("notes!");
  await using _home = home;
  await home.text("pc1", "call", "notes", "echo");
  const { pid } = await health(home, "notes");
  await hub.stop("SIGKILL");
  expect(isAlive(pid!)).toBe(true);
  const again = await home.up("pc1", "--mcp-config", file);
  // Whoever inherited it may take a moment to notice that it has ended.
  await eventually(() => expect(isAlive(pid!)).toBe(false));
  expect(await home.text("pc1", "call", "notes", "echo", '{"text": "again"}')).toBe("again\n");
  await again.stop();
});
