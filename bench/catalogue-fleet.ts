/** A router and the hubs it knows, in one process over in-memory connections: real sessions and streams, hubs that only list. */
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { encodeUtf8, type PeerIdentity, type Stream } from "@fed/core";
import { createMemoryNetwork, openMemorySession } from "@fed/core/memory";
import { type Caller, createRouter, type Router } from "@fed/router";
import { createRandom } from "./random.ts";

/** How large the fleet is. */
export interface FleetSize {
  readonly hubs: number;
  readonly appsPerHub: number;
  readonly toolsPerApp: number;
  readonly seed: number;
}

/** A router that is connected to all hubs and has asked none of them. */
export interface CatalogueFleet extends AsyncDisposable {
  readonly router: Router;
  readonly caller: Caller;
}

const nouns = ["note", "mail", "ticket", "invoice", "branch", "sensor", "recipe", "calendar", "contact", "backup"];
const verbs = ["list", "search", "create", "delete", "update", "export", "import", "archive", "share", "watch"];
const result = 2;

/** Connects everything; resolves when each hub has a confirmed path. */
export async function startCatalogueFleet(size: FleetSize): Promise<CatalogueFleet> {
  const network = createMemoryNetwork();
  const self = identityOf("self");
  const { privateKey } = generateKeyPairSync("ed25519");
  const connected = Promise.withResolvers<void>();
  let up = 0;
  const router = createRouter({
    self,
    transports: [network.transport({ identity: self })],
    sessions: {
      open: (connection, handler) => openMemorySession(connection, { handler }),
      refuse: (connection, error) => connection.close(error),
    },
    // As much work as a hub does for the proof of one hop; its form does not matter here.
    signer: {
      sign: ({ bodyDigest }) => ({ origin: "-", hop: sign(null, bodyDigest, privateKey).toString("base64url") }),
    },
    verifier: { verify: () => caller },
    digest: (bytes) => createHash("sha256").update(bytes).digest(),
    revocation: { assertCaller() {}, size: 0 },
    policy: { decide: () => ({ allow: true, rule: "bench", reason: "" }) },
    audit: { append: async () => {} },
    apps: { list: () => [], call: async () => ({}) },
    onPeerUp: () => {
      if (++up === size.hubs) connected.resolve();
    },
  });
  const caller = { operator: "op@self", homeHub: self.hubId, roles: [], scope: ["*"], local: true, hubs: [self.hubId] };
  await router.start();
  const random = createRandom(size.seed);
  for (let hub = 0; hub < size.hubs; hub++) {
    const identity = identityOf(`hub${String(hub).padStart(4, "0")}`);
    const listing = listingOf(size, random);
    const connection = await network.transport({ identity }).dial(self.hubId);
    await openMemorySession(connection, { handler: { stream: (stream) => void answer(stream, listing) } });
  }
  await connected.promise;
  return { router, caller, [Symbol.asyncDispose]: () => router.close() };
}

function identityOf(name: string): PeerIdentity {
  const hubId = name.padEnd(26, "a");
  return { hubId, clusterId: "c".repeat(52), name, thumbprint: "", serial: "", spki: "" };
}

async function answer(stream: Stream, listing: Uint8Array): Promise<void> {
  const { k } = JSON.parse(new TextDecoder().decode(stream.header)) as { k: string };
  if (k === "list") await stream.send(listing, { end: true });
  else if (k === "probe") await stream.send((await stream.receive())!, { end: true });
  else stream.end();
}

/** As a hub sends it: apps with their tools, each with a description of about 100 characters. */
function listingOf({ appsPerHub, toolsPerApp }: FleetSize, random: () => number): Uint8Array {
  const pick = (words: readonly string[]) => words[Math.floor(random() * words.length)]!;
  const hash = () => createHash("sha256").update(String(random())).digest("base64url");
  const apps = Array.from({ length: appsPerHub }, (_, index) => {
    const noun = pick(nouns);
    return {
      app: `${noun}s-${index}`,
      title: `The ${noun} keeper`,
      description: `Keeps every ${noun} of this household and of whoever shares one with it; made for people who lose things.`,
      status: "ready",
      tools: Array.from({ length: toolsPerApp }, (_tool, at) => {
        const verb = pick(verbs);
        return {
          name: `${verb}_${noun}_${at}`,
          title: `${verb} ${noun}`,
          description: `Would ${verb} the ${noun} that is named, number ${Math.floor(random() * 1e6)}; says what it has done and what is left.`,
          risk: at % 2 === 0 ? "read" : "write",
          hash: hash(),
        };
      }),
    };
  });
  const json = encodeUtf8(JSON.stringify({ apps }));
  const message = new Uint8Array(5 + json.length);
  message[0] = result;
  message.set(json, 5);
  return message;
}
