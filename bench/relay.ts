/** `pnpm bench relay`: what a relay forwards and what a call through it takes, beside a forwarder without any protocol, in one run. */
import { encodeBase64Url, randomBytes } from "@fed/core";
import { defaultRelayLimits, deriveRelayKeys, formatAdmissionKey, type RelayLimits } from "@fed/transport-relay";
import { startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
import type { ForwardSetUp, ForwardWork } from "./forward-client-process.ts";
import { median, percentile, type Sample } from "./load.ts";
import { cpuMsOf, rssMiBOf } from "./process-cost.ts";
import { createRandom, shuffled } from "./random.ts";
import type { RelaySetUp } from "./relay-process.ts";
import type { Bench, Row, RunOptions } from "./row.ts";
import { aim, formatNumber } from "./table.ts";
import { startPair } from "./wires/pair.ts";
import type { WireCredentials, WireRelay } from "./wires/wire.ts";

const seed = 20260701;
const payloadBytes = 256;
const inFlights = [1, 64] as const;
const rounds = 3;
const roundMs = 750;
const settleMs = 150;
const warmUpMs = 1_000;

/** The relay's rates protect it from its members; here nothing is to be held back. */
const unlimited = { perSecond: 1e9, burst: 1e9 };
const limits: RelayLimits = {
  ...defaultRelayLimits,
  socketMessages: unlimited,
  socketBytes: unlimited,
  clusterMessages: unlimited,
  clusterBytes: unlimited,
};

const bare = "bare ws forwarder";
const node = "relay, Node";
const workerd = "relay, workerd";
const bareCall = "bare ws double hop";
const relayCall = "relay call, Node";
const workerdCall = "relay call, workerd";

/** Something with traffic through a forwarder. */
interface Subject {
  readonly name: string;
  readonly baseline: string | undefined;
  readonly unit: string;
  work(load: ForwardWork): Promise<Sample>;
  /** The process in the middle. */
  readonly pid: number;
}

interface Cell {
  readonly name: string;
  readonly subject: Subject;
  readonly underWay: number;
  readonly samples: Sample[];
  cpuMs: number;
  rssMiB: number;
}

export const relayBench: Bench = {
  about: `${payloadBytes} bytes through a process in the middle, over loopback without TLS; forwarded one way, and as calls to a third process and back; rate is the median of ${rounds} rounds of ${roundMs} ms in an order drawn from seed ${seed}; CPU and memory are of the process in the middle`,
  async run(options) {
    await using opened = new AsyncDisposableStack();
    const rows = await measureAll(await openSubjects(options, opened), options);
    return [...rows, ...aims(rows)];
  },
};

async function openSubjects({ only = "", progress }: RunOptions, opened: AsyncDisposableStack): Promise<Subject[]> {
  const issue = await createIssuer();
  const clusterKey = encodeBase64Url(randomBytes(32));
  const members: [WireCredentials, WireCredentials] = [await issue(), await issue()];
  const noiseKeys = Object.fromEntries(members.map(({ hubId }) => [hubId, encodeBase64Url(randomBytes(32))]));
  const wanted = (...names: string[]) => names.some((name) => inFlights.some((n) => nameOf(name, n).includes(only)));
  const subjects: Subject[] = [];

  async function add(wire: string | undefined, names: [forward: string, call: string], url: string, pid: number) {
    const [forward, call] = names;
    const relay: WireRelay = { relayUrl: url, clusterKey, noiseKeys };
    if (wanted(call)) {
      const pair = opened.use(
        await startPair({ wire: wire ? "relay" : "double-hop", members, relay, payloadBytes, seed }),
      );
      const work = ({ underWay, durationMs }: ForwardWork) =>
        pair.work({ kind: "calls", inFlight: underWay, durationMs });
      subjects.push({ name: call, baseline: wire && bareCall, unit: "calls/s", work, pid });
    }
    if (wanted(forward)) {
      const others: [WireCredentials, WireCredentials] = [await issue(), await issue()];
      const keys = Object.fromEntries(others.map(({ hubId }) => [hubId, encodeBase64Url(randomBytes(32))]));
      const hubOf = (credentials: WireCredentials) => ({
        ...{ wire: "relay", modules: "", credentials },
        relay: { ...relay, noiseKeys: keys },
      });
      const setUp: ForwardSetUp = wire
        ? { url, payloadBytes, hubs: [hubOf(others[0]), hubOf(others[1])] }
        : { url: `${url}/forward`, payloadBytes };
      const client = opened.use(await startChild<object, ForwardWork, Sample>("./forward-client-process.ts", setUp));
      subjects.push({ name: forward, baseline: wire && bare, unit: "messages/s", work: client.work, pid });
    }
  }

  const { admissionPublicKey } = deriveRelayKeys(Buffer.from(clusterKey, "base64url"));
  const setUp: RelaySetUp = { admissionKeys: [formatAdmissionKey(admissionPublicKey)], limits };
  if (wanted(bare, bareCall)) {
    progress("starting the forwarder");
    const forwarder = opened.use(await startChild<{ url: string }>("./forwarder-process.ts", {}));
    await add(undefined, [bare, bareCall], forwarder.ready.url, forwarder.pid);
  }
  if (wanted(node, relayCall)) {
    progress("starting the relay");
    const started = opened.use(await startChild<{ url: string }>("./relay-process.ts", setUp));
    await add("relay", [node, relayCall], started.ready.url, started.pid);
  }
  if (wanted(workerd, workerdCall)) {
    progress("starting workerd");
    const started = opened.use(await startChild<{ url: string; pid: number }>("./workerd-process.ts", setUp));
    await add("relay", [workerd, workerdCall], started.ready.url, started.ready.pid);
  }
  return subjects;
}

async function measureAll(subjects: readonly Subject[], { only = "", progress }: RunOptions): Promise<Row[]> {
  const cells = subjects
    .flatMap((subject) =>
      inFlights.map((underWay): Cell => {
        return { name: nameOf(subject.name, underWay), subject, underWay, samples: [], cpuMs: 0, rssMiB: 0 };
      }),
    )
    .filter(({ name }) => name.includes(only));
  for (const { work } of new Set(cells.map(({ subject }) => subject))) {
    await work({ underWay: 64, durationMs: warmUpMs });
  }
  const random = createRandom(seed);
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}`);
    for (const cell of shuffled(cells, random)) await measure(cell);
  }
  return cells.map(rowOf);
}

async function measure(cell: Cell): Promise<void> {
  const { work, pid } = cell.subject;
  const { underWay } = cell;
  await work({ underWay, durationMs: settleMs });
  const beforeMs = cpuMsOf(pid);
  cell.samples.push(await work({ underWay, durationMs: roundMs }));
  cell.cpuMs += cpuMsOf(pid) - beforeMs;
  cell.rssMiB = rssMiBOf(pid);
}

function rowOf({ name, subject, underWay, samples, cpuMs, rssMiB }: Cell): Row {
  const sorted = samples.flatMap(({ latenciesMs }) => latenciesMs).toSorted((a, b) => a - b);
  return {
    name,
    unit: subject.unit,
    value: median(samples.map(({ latenciesMs, elapsedMs }) => (latenciesMs.length / elapsedMs) * 1000)),
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    baseline: subject.baseline && nameOf(subject.baseline, underWay),
    notes: { "CPU µs": formatNumber((1000 * cpuMs) / sorted.length), "RSS MiB": Math.round(rssMiB).toString() },
  };
}

function aims(rows: readonly Row[]): Row[] {
  const [serial, many] = inFlights;
  const row = (name: string, underWay: number) => rows.find((one) => one.name === nameOf(name, underWay));
  return [
    aim(`${node} / ${bare}, ${many} under way`, row(node, many)?.value, row(bare, many)?.value, { atLeast: 0.8 }),
    aim(
      `${relayCall} / ${bareCall}, p50, ${serial} under way`,
      row(relayCall, serial)?.p50,
      row(bareCall, serial)?.p50,
      {
        atMost: 2,
      },
    ),
  ].filter((one) => one !== undefined);
}

function nameOf(subject: string, underWay: number): string {
  return `${subject}, ${underWay} under way`;
}
