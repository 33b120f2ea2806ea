/**
 * A web page is a hub: it joins the cluster of `desk` through a relay, with keys of its own, and `ann` at the desk uses its
 * app. `node main.ts --stay` waits for a browser of yours instead.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createHub, type Hub } from "@fed/hub";
import { startRelay } from "@fed/relay";
import { build } from "esbuild";
import { launchBrowser, serveProgram } from "../../scripts/browser.ts";

const { outputFiles } = await build({
  entryPoints: [join(import.meta.dirname, "page.ts")],
  bundle: true,
  minify: true,
  write: false,
  format: "esm",
  platform: "browser",
  logLevel: "error",
});
const program = outputFiles[0]!;
console.log(`the page's program has ${Math.round(program.contents.length / 1024)} KiB`);

const state = mkdtempSync(join(tmpdir(), "browser-hub-"));
try {
  await using site = await serveProgram(program.text, "a page that is a hub");
  // The relay asks for its clusters' keys whenever somebody knocks: the desk does so when it has founded one.
  let founder: Hub | undefined;
  await using relay = await startRelay({
    admissionKeys: () => (founder ? [founder.cluster.status().relayAdmissionKey] : []),
  });
  await using desk = await createHub({ dir: state, name: "desk", relays: [relay.url] });
  founder = desk;
  await desk.cluster.create({ name: "home" });
  const address = `${site.url}#${await desk.cluster.invite()}`;
  if (process.argv.includes("--stay")) {
    console.log(`open ${address}\nCtrl-C ends it`);
    await once(process, "SIGINT");
  } else {
    await use(address);
  }

  async function use(address: string): Promise<void> {
    const browser = await launchBrowser();
    if (typeof browser === "string") return console.log(`skip: ${browser}`);
    try {
      const page = await browser.newPage();
      page.on("pageerror", (error) => console.error("in the page:", error));
      await page.goto(address);
      await page.getByText("a hub of home").waitFor();
      assert.partialDeepStrictEqual(desk.cluster.peers(), [{ name: "page", state: "active", path: "relay" }]);
      console.log("the page has joined the cluster of desk");

      const operator = desk.operators.local("ann");
      const call = (tool: string, args = {}) =>
        desk.apps.call({ hub: "page", app: "tab", tool, arguments: args }, { operator });
      assert.partialDeepStrictEqual(await call("title"), { content: [{ text: "a page that is a hub" }] });
      await call("say", { text: "hello from the desk" });
      await page.getByText("ann says: hello from the desk").waitFor();
      console.log("ann at the desk has read its title, and has written into it");

      await desk.cluster.revoke({ kind: "hub", id: "page" }, "done");
      await assert.rejects(call("title"), { code: "HUB_REVOKED" });
      console.log("revoked, it is out at once");
    } finally {
      await browser.close();
    }
  }
} finally {
  rmSync(state, { recursive: true, force: true });
}
