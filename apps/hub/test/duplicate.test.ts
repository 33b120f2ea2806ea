import { cpSync } from "node:fs";
import type { ClusterStatus, Peer } from "@fed/hub";
import { expect, it } from "vitest";
import { eventually, Home } from "./home.js";

it("of two processes on copies of one directory the newest counts; the other leaves, and says why and what to do", async () => {
  await using home = new Home();
  const { pc2 } = await home.pair();
  await pc2.stop();
  cpSync(home.path("pc2"), home.path("copy"), { recursive: true });
  const { lan } = await home.get<ClusterStatus>("pc1", "/status");
  const up = ["--lan", "127.0.0.1:0", "--no-discovery", "--peer", lan!.addresses[0]!];
  const older = await home.up("pc2", "--mcp-config", home.apps("pc2", "notes"), ...up);
  const pathOf = async (hub: string) => (await home.get<Peer[]>(hub, "/peers"))[0]?.path;
  await eventually(async () => expect(await pathOf("pc2")).toBe("lan"));

  await home.up("copy", ...up);
  await eventually(async () => expect(await pathOf("copy")).toBe("lan"));
  await eventually(async () => {
    const { stopped } = await home.get<ClusterStatus>("pc2", "/status");
    expect(stopped).toMatchObject({ code: "HUB_DUPLICATE", hint: expect.stringContaining("stop the copy") });
  });
  expect(await home.text("pc2", "cluster", "status")).toMatch(/^STOPPED: .* \(HUB_DUPLICATE\)\n {2}→ .*stop the copy/);
  expect((await fetch(`${older.up.url}/readyz`)).status).toBe(503);
  const doctor = await home.run(["--dir", home.path("pc2"), "doctor"]);
  expect([doctor.status, doctor.stdout]).toEqual([1, expect.stringMatching(/FAIL {2}federation: .*\(HUB_DUPLICATE\)/)]);
  const call = ["call", "pc1/notes", "echo", '{"text":"x"}'];
  await home.refused("pc2", call, "HUB_DUPLICATE");
  expect(await pathOf("copy")).toBe("lan");
  expect(await pathOf("pc1")).toBe("lan");
});
