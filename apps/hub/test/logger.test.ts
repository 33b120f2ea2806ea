import { expect, it } from "vitest";
import { createLogger } from "../src/logger.js";

it("no fact and no text of the log holds a secret, and an error says what it is", () => {
  const lines: string[] = [];
  const log = createLogger("info", { write: (line) => void lines.push(line) });
  const error = Object.assign(new Error("refused with token=hunter2"), { code: "APP_START_FAILED" });
  log.warn({ error, headers: { authorization: "Bearer hunter2" }, app: "notes" }, "started with password=hunter2");
  log.info("Bearer hunter2");
  expect(lines).toHaveLength(2);
  expect(lines.join()).not.toContain("hunter2");
  expect(JSON.parse(lines[0]!)).toMatchObject({
    error: { code: "APP_START_FAILED", message: "refused with token=[redacted]" },
    headers: { authorization: "[redacted]" },
    app: "notes",
    msg: "started with password=[redacted]",
  });
});
