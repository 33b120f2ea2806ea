import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expectCode } from "@fed/core/testing";
import { afterAll, describe, expect, it } from "vitest";
import { checkApp, fingerprint, runsAlike, startOf } from "../../src/apps/app-config.js";
import { type AppConfig, readAppConfig } from "../../src/index.js";

const root = mkdtempSync(join(tmpdir(), "fed-config-"));
afterAll(() => rmSync(root, { recursive: true }));

const environment = { HOME: "/home/ann", TOKEN: "t0ken-of-ann", EMPTY: "", PORT: "8080" };

function read(mcpServers: unknown, folder = root): Record<string, AppConfig> {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, "apps.json");
  writeFileSync(file, JSON.stringify({ mcpServers }));
  return readAppConfig(file, environment);
}

async function mistake(mcpServers: unknown): Promise<string> {
  return (await expectCode(async () => read(mcpServers), "APP_CONFIG_INVALID")).message;
}

describe("an mcpServers file", () => {
  it("is read as other clients read it, with what is for hubs under fed", () => {
    const apps = read({
      notes: {
        command: "notes-mcp",
        args: ["--all"],
        env: { A: "b" },
        type: "stdio",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of another client.
        envFile: "${workspaceFolder}/.env",
      },
      web: {
        type: "http",
        url: "https://mcp.example/mcp",
        headers: { "x-team": "blue" },
        fed: { title: "Web", description: "The web.", start: "eager", auth: { bearer: "b3arer" } },
      },
      old: { command: "old-mcp", disabled: true },
      lazy: { command: "lazy-mcp", fed: { idleStopMs: 60_000 } },
    });
    expect(apps).toEqual({
      notes: { command: "notes-mcp", args: ["--all"], env: { A: "b" } },
      web: {
        url: "https://mcp.example/mcp",
        headers: { "x-team": "blue" },
        title: "Web",
        description: "The web.",
        start: "eager",
        auth: { bearer: "b3arer" },
      },
      lazy: { command: "lazy-mcp", idleStopMs: 60_000 },
    });
    expect(Object.values(apps).map(startOf)).toEqual(["demand", "eager", "demand"]);
    expect(startOf({ server: () => ({}) as never })).toBe("eager");
  });

  it("takes variables from the environment, with defaults, in every field", () => {
    const apps = read({
      notes: {
        // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how such files write them.
        command: "${HOME}/bin/notes",
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the same.
        args: ["--token=${TOKEN}", "${UNSET:-none}", "${EMPTY:-filled}", "[${EMPTY}]", "$TOKEN", "${1}"],
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the same.
        env: { TOKEN: "${TOKEN}" },
      },
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the same.
      web: { url: "http://127.0.0.1:${PORT}/mcp", headers: { authorization: "Bearer ${TOKEN}" } },
    });
    expect(apps.notes).toMatchObject({
      command: "/home/ann/bin/notes",
      // biome-ignore lint/suspicious/noTemplateCurlyInString: no variable.
      args: ["--token=t0ken-of-ann", "none", "filled", "[]", "$TOKEN", "${1}"],
      env: { TOKEN: "t0ken-of-ann" },
      secrets: expect.arrayContaining(["t0ken-of-ann"]),
    });
    expect(apps.notes!.secrets).not.toContain("/home/ann");
    expect(apps.web).toMatchObject({
      url: "http://127.0.0.1:8080/mcp",
      headers: { authorization: "Bearer t0ken-of-ann" },
    });
  });

  it("names every variable that is not set, and where it stands", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: that is how such files write them.
    const message = await mistake({ a: { command: "x", env: { K: "${NO_KEY}" } }, b: { url: "http://${NO_HOST}/" } });
    expect(message).toContain("mcpServers.a.env.K: the variable NO_KEY is not set");
    expect(message).toContain("mcpServers.b.url: the variable NO_HOST is not set");
  });

  it("has folders relative to itself", () => {
    const folder = join(root, "deep");
    expect(read({ a: { command: "x", cwd: "work" }, b: { command: "x", cwd: "/srv" } }, folder)).toEqual({
      a: { command: "x", cwd: join(folder, "work") },
      b: { command: "x", cwd: "/srv" },
    });
  });

  it.each([
    ["no command and no url", { a: {} }, "mcpServers.a.command"],
    ["a url that is none", { a: { url: "nowhere" } }, "mcpServers.a.url"],
    ["credentials in the url", { a: { url: "https://ann:secret@mcp.example/" } }, "mcpServers.a.url"],
    ["an unknown setting under fed", { a: { command: "x", fed: { begin: "now" } } }, "mcpServers.a.fed"],
    ["credentials of a command", { a: { command: "x", fed: { auth: { bearer: "x" } } } }, "mcpServers.a.fed"],
    [
      "an idle stop of what is to run always",
      { a: { command: "x", fed: { start: "eager", idleStopMs: 5000 } } },
      "fed",
    ],
    ["client credentials without the issuer", clientCredentials({ clientId: "a", clientSecret: "b" }), "auth"],
    [
      "an issuer that is asked in the clear",
      clientCredentials({ issuer: "http://127.0.0.1.example/", clientId: "a", clientSecret: "b" }),
      "auth",
    ],
    [
      "an issuer elsewhere that begins like this machine",
      clientCredentials({ issuer: "http://localhost:x@evil.example/", clientId: "a", clientSecret: "b" }),
      "auth",
    ],
    [
      "a user in the issuer",
      clientCredentials({ issuer: "https://ann@login.example/", clientId: "a", clientSecret: "b" }),
      "auth",
    ],
    ["a user alone in the url", { a: { url: "https:\\\\ann@mcp.example/" } }, "mcpServers.a.url"],
    ["a name that names no app", { "a/b": { command: "x" } }, "mcpServers.a/b"],
  ])("with %s is refused", async (_what, mcpServers, where) => {
    expect(await mistake(mcpServers)).toContain(where);
  });
});

describe("two configurations", () => {
  const notes: AppConfig = { command: "notes", env: { A: "1", B: "2" } };
  const server = () => ({}) as never;

  it("run alike if they differ in words and times alone", () => {
    expect(runsAlike(notes, { env: { B: "2", A: "1" }, command: "notes", title: "T", start: "eager" })).toBe(true);
    expect(runsAlike(notes, { ...notes, env: { A: "1" } })).toBe(false);
    expect(runsAlike(notes, { ...notes, cwd: "/" })).toBe(false);
    expect(runsAlike(notes, { server })).toBe(false);
    expect(runsAlike({ server, title: "A" }, { server })).toBe(true);
    expect(runsAlike({ server }, { server: () => server() })).toBe(false);
  });

  it("have a fingerprint, which holds none of their secrets", () => {
    expect(fingerprint(notes)).toMatch(/^[0-9a-f]{64}$/);
    expect(fingerprint({ server })).toBeUndefined();
  });

  it("are checked when a program gives them, too", async () => {
    await expectCode(async () => checkApp("a/b", notes), "APP_CONFIG_INVALID");
    await expectCode(async () => checkApp("a", { ...notes, start: "eager", idleStopMs: 1 }), "APP_CONFIG_INVALID");
  });
});

function clientCredentials(credentials: object) {
  return { a: { url: "https://mcp.example/", fed: { auth: { clientCredentials: credentials } } } };
}
