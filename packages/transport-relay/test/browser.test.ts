/** The room as a browser gets it, in headless Chromium: noble instead of node:crypto and libsodium. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { bundleFromSource, launchBrowser, serveProgram } from "../../../scripts/browser.js";
import type { Vectors } from "./browser-program.js";

const browser = await launchBrowser();
if (typeof browser === "string") console.info(`skipped: ${browser}`);

const vectors = (name: string) => JSON.parse(readFileSync(`${process.env.FED_VECTORS}/${name}.json`, "utf8"));

test.skipIf(typeof browser === "string")(
  "the published vectors hold in a page",
  async () => {
    if (typeof browser === "string") return;
    const program = await bundleFromSource(fileURLToPath(new URL("browser-program.ts", import.meta.url)));
    await using site = await serveProgram(program);
    try {
      const page = await browser.newPage();
      await page.goto(site.url);
      await page.waitForFunction(() => typeof checkVectors === "function");
      const all: Vectors = {
        cacophony: vectors("noise/cacophony-ik").vectors,
        chacha: vectors("wycheproof/chacha20_poly1305_test").testGroups,
        x25519: vectors("wycheproof/x25519_test").testGroups,
        ed25519: vectors("wycheproof/ed25519_test").testGroups,
      };
      const { cacophony, chacha, x25519, ed25519 } = await page.evaluate((given) => checkVectors(given), all);
      const { handshakeMs, recordsPerSecond } = await page.evaluate(() => measure());
      console.info(
        `in Chromium ${browser.version()}: cacophony IK BLAKE2b ${cacophony} messages, wycheproof chacha20_poly1305 ${chacha}, ` +
          `x25519 ${x25519.count} (${x25519.refused} refused), ed25519 ${ed25519} cases; ` +
          `handshake ${handshakeMs.toFixed(1)} ms, ${Math.round(recordsPerSecond)} records of 256 B a second`,
      );
      expect(cacophony).toBe(6);
      expect(chacha).toBeGreaterThan(300);
      expect(x25519.refused).toBeGreaterThan(0);
      expect(ed25519).toBeGreaterThan(100);
    } finally {
      await browser.close();
    }
  },
  60_000,
);
