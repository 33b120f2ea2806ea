import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Home } from "./home.js";

interface Status {
  readonly name: string;
  readonly clusterId: string;
  readonly members: readonly { readonly name: string; readonly roles: readonly string[] }[];
  readonly lan?: { readonly addresses: readonly string[]; readonly discovery: string };
}
interface Peer {
  readonly name: string;
  readonly state: string;
  readonly path?: string;
}

describe("a hub on its own", () => {
  const home = new Home();
  beforeAll(() => home.init("pc1"));
  afterAll(() => home[Symbol.asyncDispose]());

  it("has no cluster and no peers", async () => {
    await home.refused("pc1", ["cluster", "status"], "NOT_IN_CLUSTER");
    await home.refused("pc1", ["cluster", "export", home.path("public")], "NOT_IN_CLUSTER");
    expect(await home.json("pc1", "peers")).toEqual([]);
    expect(await home.text("pc1", "peers")).toBe("No other hub is in this cluster.\n");
  });

  it("must run to invite, to join and to say how it reaches others", async () => {
    for (const args of [
      ["invite"],
      ["join", "fedpair1.x.y.z"],
      ["path", "pc2"],
      ["mcp"],
      ["call", "pc1/notes", "echo"],
    ])
      await home.refused("pc1", args, "HUB_NOT_RUNNING");
  });

  it("founds a cluster while it is stopped, once", async () => {
    const made = await home.json<Status>("pc1", "cluster", "create", "home");
    expect(made).toMatchObject({ name: "home", members: [{ name: "pc1" }] });
    await home.refused("pc1", ["cluster", "create", "again"], "ALREADY_IN_CLUSTER");
    expect(await home.json<Status>("pc1", "cluster", "status")).toMatchObject({ clusterId: made.clusterId });
  });

  it("founds one while it runs, in words", async () => {
    await home.init("pc2");
    await home.up("pc2");
    const text = await home.text("pc2", "cluster", "create", "office");
    expect(text).toMatch(/^Cluster office is founded: [a-z2-7]{52}\nA relay for it must admit fedrelay1\.\S+\n/);
    expect(await home.text("pc2", "cluster", "status")).toMatch(/^office {2}[a-z2-7]{52}\nmanifest 2, good until /);
    await home.refused("pc2", ["cluster", "create", "again"], "ALREADY_IN_CLUSTER");
    await home.refused("pc2", ["invite"], "NO_INVITE_ADDRESS");
  });
});

describe("two hubs", () => {
  const home = new Home();
  beforeAll(() => home.pair());
  afterAll(() => home[Symbol.asyncDispose]());

  it("see each other", async () => {
    for (const [hub, other] of [
      ["pc1", "pc2"],
      ["pc2", "pc1"],
    ] as const) {
      expect(await home.json<Peer[]>(hub, "peers")).toMatchObject([{ name: other, state: "active", path: "lan" }]);
      expect(await home.text(hub, "peers")).toMatch(new RegExp(`^HUB +STATE .*\n${other} +active +lan `));
      expect(await home.json(hub, "path", other)).toMatchObject({
        paths: [{ transport: "lan", best: true, why: expect.any(String) }],
        history: expect.arrayContaining([expect.objectContaining({ transport: "lan", event: "chosen" })]),
      });
      expect(await home.text(hub, "path", other)).toMatch(
        /^PATH +STATE +RTT +WHY\n\* lan [\s\S]*\nWHEN +PATH +EVENT +WHY\n/,
      );
      expect(await home.json<Status>(hub, "cluster", "status")).toMatchObject({
        name: "home",
        members: [{ name: "pc1" }, { name: "pc2" }],
      });
    }
    await home.refused("pc1", ["path", "pc9"], "HUB_UNKNOWN");
  });

  it("a third joins in words, with a role; its token is good once", async () => {
    await home.init("pc3");
    await home.up("pc3", "--lan", "127.0.0.1:0", "--no-discovery");
    const invitation = await home.text("pc1", "invite", "--ttl", "5m", "--role", "guest");
    expect(invitation).toMatch(/^fedpair1\.\S+\n\nGood for 5 min and for one hub: fed join TOKEN\n$/);
    const token = invitation.split("\n")[0]!;
    expect(await home.text("pc3", "join", token)).toMatch(/^Joined home over the LAN; it has 3 members\.\n/);
    const { members } = await home.json<Status>("pc1", "cluster", "status");
    expect(members).toMatchObject([{}, {}, { name: "pc3", roles: ["guest"] }]);
    await home.refused("pc3", ["join", token], "ALREADY_IN_CLUSTER");
    await home.refused("pc3", ["invite"], "NOT_THE_AUTHORITY");

    await home.init("pc4");
    await home.up("pc4", "--lan", "127.0.0.1:0", "--no-discovery");
    await home.refused("pc4", ["join", token], "TOKEN_USED");
  });

  it("tokens that are cut short, made up, or too old let nobody in", async () => {
    await home.init("pc5");
    await home.up("pc5", "--lan", "127.0.0.1:0", "--no-discovery");
    await home.refused("pc5", ["join", "nonsense"], "TOKEN_MALFORMED");
    const { token } = await home.json<{ token: string }>("pc1", "invite");
    const [prefix, secret, ...rest] = token.split(".") as [string, string, ...string[]];
    await home.refused("pc5", ["join", [prefix, secret.slice(1), ...rest].join(".")], "TOKEN_MALFORMED");
    const guess = [prefix, [...secret].reverse().join(""), ...rest].join(".");
    await home.refused("pc5", ["join", guess], "TOKEN_UNKNOWN");
    const short = await home.json<{ token: string; expiresInMs: number }>("pc1", "invite", "--ttl", "1s");
    expect(short.expiresInMs).toBe(1000);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await home.refused("pc5", ["join", short.token], "TOKEN_EXPIRED");
    expect(await home.json("pc5", "peers")).toEqual([]);
  });

  it("exports public documents that openssl verifies, and no private key", async () => {
    const before = await home.json<string[]>("pc2", "cluster", "export", home.path("public"));
    expect(before).toContain(home.path("public/ca.pem"));
    expect(await home.text("pc2", "cluster", "export", "public")).toContain(`${home.path("public/leaf.pem")}\n`);
    const verified = execFileSync(
      "openssl",
      [
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        home.path("public/ca.pem"),
        home.path("public/leaf.pem"),
      ],
      { encoding: "utf8" },
    );
    expect(verified).toContain("leaf.pem: OK");

    const secrets = readdirSync(home.path("pc2/keys")).map((name) => readFileSync(home.path("pc2/keys", name)));
    expect(secrets.length).toBeGreaterThan(2);
    for (const name of readdirSync(home.path("public"))) {
      const text = readFileSync(home.path("public", name), "utf8");
      expect(text).not.toContain("PRIVATE");
      const pem = text.replace(/-----[^-]+-----|\n/g, "");
      const forms = [Buffer.from(text), Buffer.from(pem, "base64")];
      for (const secret of secrets) {
        expect(forms.some((form) => form.includes(secret))).toBe(false);
        for (const encoding of ["base64", "base64url", "hex"] as const)
          expect(text).not.toContain(secret.toString(encoding));
      }
    }
    const manifest = JSON.parse(readFileSync(home.path("public/manifest.json"), "utf8")) as { signatures: unknown[] };
    expect(manifest.signatures).toHaveLength(1);
  });

  it("says that it cannot write them there", async () => {
    writeFileSync(home.path("file"), "");
    await home.refused("pc2", ["cluster", "export", home.path("file")], "EXPORT_FAILED");
  });
});
