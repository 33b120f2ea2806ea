import { describe, expect, it } from "vitest";
import { AppLog } from "../../src/apps/app-log.js";
import { concealment } from "../../src/apps/app-secrets.js";
import { concealError } from "../../src/apps/conceal-error.js";
import { HubError } from "../../src/index.js";

const plain = (text: string) => text;

describe("what an app printed", () => {
  it("is kept to its last 64 KiB, in whole lines", () => {
    const log = new AppLog();
    for (let i = 0; i < 20_000; i++) log.append(Buffer.from(`line ${i}\n`));
    const lines = log.lines(plain);
    expect(lines.join("\n").length).toBeLessThanOrEqual(64 * 1024);
    expect(lines.join("\n").length).toBeGreaterThan(60 * 1024);
    expect(lines.every((line) => /^line \d+$/.test(line))).toBe(true);
    expect(lines.at(-1)).toBe("line 19999");
    expect(log.lines(plain, 2)).toEqual(["line 19998", "line 19999"]);
    expect(log.last(plain)).toBe("line 19999");
  });

  it("is bounded for one line without end, too", () => {
    const log = new AppLog();
    for (let i = 0; i < 100; i++) log.append(Buffer.alloc(10_000, "a"));
    log.append(Buffer.alloc(1_000_000, "b"));
    expect(log.lines(plain).join("").length).toBeLessThanOrEqual(64 * 1024);
  });

  it("is without secrets, even where one came in two pieces or its beginning is lost", () => {
    const secret = "s3cr3t-of-the-app";
    const conceal = concealment({ command: "x", env: { API_TOKEN: secret } });
    const log = new AppLog();
    log.append(Buffer.from(`token ${secret.slice(0, 5)}`));
    log.append(Buffer.from(`${secret.slice(5)} given\n`));
    expect(log.lines(conceal)).toEqual(["token [redacted] given"]);
    for (let i = 0; i < 10_000; i++) log.append(Buffer.from(`${secret}\n`));
    expect(new Set(log.lines(conceal))).toEqual(new Set(["[redacted]"]));
    log.append(Buffer.from("usage: app --api-key=hunter2\n"));
    expect(log.last(conceal), "what is shown to callers").toBe("usage: app --api-key=[redacted]");
  });
});

describe("an app's secrets", () => {
  it.each([
    [{ command: "x", env: { K: "abcdef" } }, "abcdef"],
    [{ command: "x", env: { K: "first line\nsecond line" } }, "second line"],
    [{ command: "x", args: ["--key=abcdefgh"], secrets: ["abcdefgh"] }, "--key=abcdefgh"],
    [{ url: "https://mcp.example/", headers: { authorization: "Bearer abcdef" } }, "abcdef"],
    [{ url: "https://mcp.example/?key=abcdef" }, "abcdef"],
    [{ url: "https://mcp.example/", auth: { bearer: "abcdef" } }, "abcdef"],
    [{ command: "x", env: { K: "a b+c/d=e" } }, encodeURIComponent("a b+c/d=e")],
    [{ command: "x", env: { K: 'quo"ted' } }, JSON.stringify({ k: 'quo"ted' })],
  ])("of %j are blanked", (config, text) => {
    expect(concealment(config)(`it says ${text}.`)).toContain("[redacted]");
    expect(concealment(config)(`it says ${text}.`)).not.toContain(text);
  });

  it("of fewer than six characters are words", () => {
    expect(concealment({ command: "x", env: { DEBUG: "true" } })("true enough")).toBe("true enough");
  });

  it("are taken out of errors with all their details, and errors without any stay as they are", () => {
    const conceal = concealment({ command: "x", env: { K: "abcdef" } });
    const rpc = { code: 1, message: "no abcdef", data: { list: ["abcdef", 1, null] } };
    const error = new HubError({ code: "TOOL_FAILED", message: "App x refused: no abcdef", details: { rpc } });
    expect(concealError(error, conceal)).toMatchObject({
      code: "TOOL_FAILED",
      message: "App x refused: no [redacted]",
      details: { rpc: { code: 1, message: "no [redacted]", data: { list: ["[redacted]", 1, null] } } },
    });
    const harmless = new HubError({ code: "TOOL_FAILED", message: "no" });
    expect(concealError(harmless, conceal)).toBe(harmless);
  });
});
