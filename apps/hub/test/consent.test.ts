import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Home } from "./home.js";

const home = new Home();
beforeAll(() => home.init("pc1"));
afterAll(() => home[Symbol.asyncDispose]());

describe("a stopped hub", () => {
  it("is told what to ask about, and says so", async () => {
    expect(await home.text("pc1", "consent", "notes")).toBe("notes: nothing is set; its tools run without asking.\n");
    await home.text("pc1", "consent", "notes", "--write", "ask", "--execute", "ask");
    await home.text("pc1", "consent", "notes", "--tool", "draft*", "--write", "allow");
    await home.text("pc1", "consent", "notes", "--tool", "login", "--redact", "token", "user.pin");
    expect(await home.text("pc1", "risk", "notes", "login", "execute")).toBe(
      [
        "notes/*: write ask execute ask",
        "notes/draft*: write allow",
        "notes/login: risk execute redact token user.pin",
        "",
      ].join("\n"),
    );
    await home.text("pc1", "consent", "notes", "--tool", "login", "--no-redact");
    await home.text("pc1", "risk", "notes", "login", "auto");
    expect(await home.json("pc1", "consent", "notes")).toEqual({
      version: 1,
      apps: { notes: { "*": { write: "ask", execute: "ask" }, "draft*": { write: "allow" } } },
    });
  });

  it("cannot be asked for an app's tools", async () => {
    await home.refused("pc1", ["risk", "notes"], "HUB_NOT_RUNNING");
  });

  it("refuses what is no setting", async () => {
    await home.refused("pc1", ["risk", "notes", "login", "harmless"], "USAGE", 2);
    await home.refused("pc1", ["consent", "notes", "--write", "maybe"], "USAGE", 2);
    await home.refused("pc1", ["consent", "notes", "--tool", "a*b", "--write", "ask"], "REQUEST_INVALID");
    await home.refused("pc1", ["up", "--approval-timeout", "soon"], "USAGE", 2);
    await home.refused("pc1", ["up", "--approval-timeout", "2h"], "REQUEST_INVALID");
  });
});

describe("a running hub", () => {
  it("shows what its tools can do, and by whose word", async () => {
    await home.init("pc2");
    await home.up("pc2", "--mcp-config", home.apps("pc2", "notes"));
    await home.json("pc2", "risk", "notes", "fail", "execute");
    await home.json("pc2", "consent", "notes", "--execute", "ask");
    expect(await home.text("pc2", "risk", "notes")).toBe(
      [
        "TOOL   RISK     SAID BY  ASKED",
        "echo   write    app      no",
        "count  write    app      no",
        "wait   write    app      no",
        "fail   execute  owner    yes",
        "",
      ].join("\n"),
    );
    expect(await home.json("pc2", "risk", "notes", "echo")).toEqual([
      { tool: "echo", risk: "write", by: "app", asked: false },
    ]);
    await home.refused("pc2", ["risk", "other"], "APP_UNKNOWN");
  });
});
