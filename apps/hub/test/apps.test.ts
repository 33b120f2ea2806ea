import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually, Home } from "./home.js";

interface Result {
  readonly content: readonly { readonly type: string; readonly text: string }[];
  readonly isError?: boolean;
}

const home = new Home();
let pc2: Awaited<ReturnType<Home["pair"]>>["pc2"];
beforeAll(async () => {
  ({ pc2 } = await home.pair());
});
afterAll(() => home[Symbol.asyncDispose]());

describe("fed apps", () => {
  it("shows what may be used, on every hub", async () => {
    const apps = await home.json<{ hub: string; app: string }[]>("pc1", "apps");
    expect(apps).toMatchObject([
      { hub: "pc1", app: "notes", path: "local", status: "idle", stale: false },
      { hub: "pc2", app: "notes", path: "lan", status: "idle", stale: false },
    ]);
    expect(await home.text("pc1", "apps")).toMatch(
      /^APP +PATH +STATUS +ABOUT\npc1\/notes +local +idle\npc2\/notes +lan +idle\n$/,
    );
    expect(await home.json<{ hub: string }[]>("pc2", "apps")).toMatchObject([{ hub: "pc2" }]);
  });
});

describe("fed call", () => {
  it("prints the result: its text for people, all of it as JSON", async () => {
    for (const hub of ["pc1", "pc2"]) {
      expect(await home.text("pc1", "call", `${hub}/notes`, "echo", '{"text": "hello\\nyou"}')).toBe("hello\nyou\n");
      const result = await home.json<Result>("pc1", "call", `${hub}/notes`, "echo", '{"text": "hello"}');
      expect(result.content).toEqual([{ type: "text", text: "hello" }]);
    }
    expect(await home.text("pc1", "call", "notes", "echo", '{"text": "here"}')).toBe("here\n");
  });

  it("shows progress on stderr to people, and none in JSON", async () => {
    const args = ["--dir", home.path("pc1"), "call", "pc2/notes", "count", '{"to": 3}'];
    expect(await home.run(args)).toEqual({
      status: 0,
      stdout: "counted\n",
      stderr: "1/3 step 1\n2/3 step 2\n3/3 step 3\n",
    });
    expect(await home.run(["--json", ...args])).toMatchObject({ status: 0, stderr: "" });
  });

  it("ends with status 1 when the tool says that it failed", async () => {
    const args = ["--dir", home.path("pc1"), "call", "pc2/notes", "fail"];
    expect(await home.run(args)).toEqual({ status: 1, stdout: "it does not work\n", stderr: "" });
    const json = await home.run(["--json", ...args]);
    expect(json.status).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({ isError: true });
  });

  it("says which hub or app is not there, or not allowed", async () => {
    await home.refused("pc1", ["call", "pc9/notes", "echo"], "HUB_UNKNOWN");
    await home.refused("pc1", ["call", "pc1/nothing", "echo"], "APP_UNKNOWN");
    await home.refused("pc1", ["call", "pc2/nothing", "echo"], "SHARING_DENIED");
    await home.refused("pc2", ["call", "pc1/notes", "echo"], "SHARING_DENIED");
  });

  it("says so when the hub goes away in the middle", async () => {
    await using own = new Home();
    await own.init("pc1");
    const hub = await own.up("pc1", "--mcp-config", own.apps("pc1", "notes"));
    const call = own.run(["--json", "--dir", own.path("pc1"), "call", "pc1/notes", "wait"]);
    await own.hears("pc1", "waiting");
    await hub.stop("SIGKILL");
    const { status, stdout, stderr } = await call;
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(JSON.parse(stderr)).toMatchObject({ error: { code: "HUB_UNREACHABLE", hint: expect.any(String) } });
  });
});

describe("fed share and fed unshare", () => {
  it("decide at once what others see, tool by tool", async () => {
    expect(await home.text("pc1", "share", "notes", "cluster", "--tool", "echo")).toMatch(/^notes: \{.*"echo"/);
    expect(await home.text("pc2", "call", "pc1/notes", "echo", '{"text": "x"}')).toBe("x\n");
    await home.refused("pc2", ["call", "pc1/notes", "count"], "SHARING_DENIED");
    const policy = await home.json<{ apps: Record<string, unknown> }>(
      "pc1",
      "unshare",
      "notes",
      "cluster",
      "--tool",
      "echo",
    );
    expect(policy.apps.notes).not.toMatchObject({ share: "Cluster" });
    await home.refused("pc2", ["call", "pc1/notes", "echo"], "SHARING_DENIED");
  });

  it("work on a stopped hub as on a running one", async () => {
    await using own = new Home();
    await own.init("pc1");
    const stopped = await own.json("pc1", "share", "notes", "role:guest");
    const hub = await own.up("pc1");
    expect(await own.json("pc1", "share", "notes", "role:guest")).toEqual(stopped);
    expect(await own.text("pc1", "unshare", "notes", "role:guest")).toBe('notes: {"share":"LocalOnly"}\n');
    await hub.stop();
    expect(await own.text("pc1", "share", "notes", "cluster")).toBe('notes: {"share":"Cluster"}\n');
    expect(await own.text("pc1", "unshare", "notes", "cluster")).toBe('notes: {"share":"LocalOnly"}\n');
  });
});

it("a hub that is gone is offline, and its apps are shown with --all alone", async () => {
  await home.json("pc1", "apps");
  await pc2.stop();
  await eventually(async () => expect((await home.json<{ path?: string }[]>("pc1", "peers"))[0]!.path).toBeUndefined());
  expect(await home.json("pc1", "apps")).toMatchObject([{ hub: "pc1" }]);
  expect(await home.json("pc1", "apps", "--all")).toMatchObject([{ hub: "pc1" }, { hub: "pc2", status: "offline" }]);
  await home.refused("pc1", ["call", "pc2/notes", "echo"], "HUB_UNREACHABLE");
});
