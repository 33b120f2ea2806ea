import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import type { Approval, StandingAnswer } from "@fed/hub";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { cli, eventually, Home } from "./home.js";

interface Listed {
  readonly pending: readonly Approval[];
  readonly standing: readonly StandingAnswer[];
}

const home = new Home();
beforeAll(async () => {
  await home.pair();
  await home.json("pc2", "consent", "notes", "--write", "ask");
});
afterAll(() => home[Symbol.asyncDispose]());

/** Calls pc2's `notes` from pc1; the answer is still out. */
function call(text: string) {
  return home.run([
    "--dir",
    home.path("pc1"),
    "--json",
    "call",
    "pc2/notes",
    "echo",
    JSON.stringify({ text, token: "hunter2" }),
  ]);
}

async function pending(): Promise<Approval> {
  let found: Approval | undefined;
  await eventually(async () => {
    ({
      pending: [found],
    } = await home.json<Listed>("pc2", "approvals"));
    expect(found).toBeDefined();
  });
  return found!;
}

describe("fed approvals", () => {
  it("shows who wants what, without secrets, and allows it", async () => {
    expect(await home.text("pc2", "approvals")).toBe("Nothing waits for approval.\n");
    const calling = call("one");
    const { id, tool, risk, arguments: args } = await pending();
    expect({ tool, risk, args }).toEqual({ tool: "echo", risk: "write", args: { text: "one", token: "[redacted]" } });
    expect(await home.text("pc2", "approvals")).toMatch(
      new RegExp(
        `^${id} {2}admin@pc1 wants notes echo \\[write\\], \\d+ s left\\n {2}\\{"text":"one","token":"\\[redacted\\]"\\}\\n$`,
      ),
    );
    expect(await home.text("pc2", "approvals", "allow", id)).toBe("notes echo of admin@pc1 runs.\n");
    expect(JSON.parse((await calling).stdout)).toMatchObject({ content: [{ text: "one" }] });
    await home.refused("pc2", ["approvals", "allow", id], "APPROVAL_UNKNOWN");
  });

  it("denies once, and for good until it is taken back", async () => {
    for (const always of [[], ["--always"]]) {
      const calling = call("two");
      await home.json("pc2", "approvals", "deny", (await pending()).id, ...always);
      const { status, stderr } = await calling;
      expect({ status, code: JSON.parse(stderr).error.code }).toEqual({ status: 1, code: "CONSENT_DENIED" });
    }
    expect((await call("two")).stderr).toContain("CONSENT_DENIED");
    const { standing } = await home.json<Listed>("pc2", "approvals");
    expect(standing).toMatchObject([{ decision: "never", hub: "pc1", tool: "echo" }]);
    expect(await home.text("pc2", "approvals")).toMatch(
      /ID +ANSWER +WHO +WHAT +UNTIL\n\S+ +never +admin@pc1 +notes echo +\S+Z\n$/,
    );
    await home.text("pc2", "approvals", "forget", standing[0]!.id);
    await home.refused("pc2", ["approvals", "forget", standing[0]!.id], "APPROVAL_UNKNOWN");
  });

  it("allows for the session: the next call does not wait", async () => {
    const calling = call("three");
    await home.json("pc2", "approvals", "allow", (await pending()).id, "--session");
    expect((await calling).status).toBe(0);
    expect((await call("four")).status).toBe(0);
    const [standing] = (await home.json<Listed>("pc2", "approvals")).standing;
    await home.json("pc2", "approvals", "forget", standing!.id);
  });

  it("is for a hub that runs, and answers what is there", async () => {
    await home.init("pc3");
    for (const args of [["approvals"], ["approvals", "watch"], ["approvals", "allow", "abc"]]) {
      await home.refused("pc3", args, "HUB_NOT_RUNNING");
    }
    await home.refused("pc2", ["approvals", "deny"], "USAGE", 2);
  });
});

describe("fed approvals watch", () => {
  let watching: ChildProcess | undefined;
  afterEach(() => watching?.kill("SIGKILL"));

  it("prints what begins to wait, one JSON document a line, until it is stopped", async () => {
    watching = home.spawn(["--dir", home.path("pc2"), "--json", "approvals", "watch"]);
    const lines = collectLines(watching);
    const calling = call("five");
    await eventually(() => expect(lines()).toHaveLength(1));
    const { id } = JSON.parse(lines()[0]!) as Approval;
    await home.json("pc2", "approvals", "allow", id);
    expect((await calling).status).toBe(0);
    const ended = once(watching, "exit");
    watching.kill("SIGTERM");
    expect(await ended).toEqual([0, null]);
    expect(lines()).toHaveLength(1);
  });

  const script = "/usr/bin/script";
  it.runIf(existsSync(script))("asks where there is a terminal", async () => {
    const command = [process.execPath, cli, "--dir", home.path("pc2"), "approvals", "watch"].join(" ");
    watching = spawn(script, ["-qec", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    const lines = collectLines(watching);
    for (const [key, status, said] of [
      ["maybe\ny", 0, "runs."],
      ["n", 1, "is refused."],
      ["s", 0, "further calls."],
    ] as const) {
      const before = lines().length;
      const calling = call(`key ${key}`);
      for (const [index, each] of key.split("\n").entries()) {
        const prompts = () => lines().slice(before).join("\n").split("ne[v]er").length - 1;
        await eventually(() => expect(prompts()).toBeGreaterThan(index));
        watching.stdin!.write(`${each}\r`);
      }
      expect((await calling).status).toBe(status);
      await eventually(() => expect(lines().slice(before).join("\n")).toContain(said));
    }
    const ended = once(watching, "exit");
    watching.stdin!.write("\x03");
    await ended;
  });
});

function collectLines(child: ChildProcess): () => string[] {
  let text = "";
  child.stdout!.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
  return () => text.split("\n").filter(Boolean);
}
