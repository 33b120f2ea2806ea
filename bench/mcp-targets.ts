/** What the hub must reach beside the SDK alone and beside other gateways, as rows of their own. */
import type { McpFigures } from "./mcp.ts";
import { directName } from "./mcp-subjects.ts";
import type { Row } from "./row.ts";

const rateShare = 0.8;
const cpuShare = 0.5;

/** One row for each aim whose two sides were measured. */
export function targetRows(figures: readonly McpFigures[]): Row[] {
  const ours = figures.filter(({ subject }) => subject.kind === "ours");
  return [
    ...ours.filter(({ inFlight }) => inFlight === 1).flatMap((own) => addedTime(own, figures)),
    ...ours
      .filter(({ inFlight, subject }) => inFlight === 32 && subject.keepsRate)
      .flatMap((own) => rate(own, figures)),
    ...ours.filter(({ subject }) => subject.likePeers).flatMap((own) => besidePeers(own, figures)),
  ];
}

function addedTime(own: McpFigures, figures: readonly McpFigures[]): Row[] {
  const direct = directOf(own, figures);
  const { maxAddedMs } = own.subject;
  if (!direct || maxAddedMs === undefined) return [];
  return [aim("added p50", own, { unit: "ms", value: own.p50 - direct.p50, target: maxAddedMs, better: "less" })];
}

function rate(own: McpFigures, figures: readonly McpFigures[]): Row[] {
  const direct = directOf(own, figures);
  if (!direct) return [];
  return [
    aim("rate to the SDK alone", own, { unit: "×", value: own.rate / direct.rate, target: rateShare, better: "more" }),
  ];
}

/** Beside the best of the peers, in whatever revision that is. */
function besidePeers(own: McpFigures, figures: readonly McpFigures[]): Row[] {
  const peers = figures.filter(({ subject, inFlight }) => subject.kind === "peer" && inFlight === own.inFlight);
  if (peers.length === 0) return [];
  const cpuUs = Math.min(...peers.map((peer) => peer.cpuUs));
  const p99 = Math.min(...peers.map((peer) => peer.p99));
  return [
    aim("CPU to the best peer's", own, { unit: "×", value: own.cpuUs / cpuUs, target: cpuShare, better: "less" }),
    aim("p99 to the best peer's", own, { unit: "×", value: own.p99 / p99, target: 1, better: "less" }),
  ];
}

function directOf({ subject, inFlight }: McpFigures, figures: readonly McpFigures[]): McpFigures | undefined {
  const name = directName(subject.target.revision);
  return figures.find((other) => other.subject.name === name && other.inFlight === inFlight);
}

function aim(
  what: string,
  { subject, inFlight }: McpFigures,
  row: Pick<Row, "unit" | "value" | "target" | "better">,
): Row {
  return { name: `${what}: ${subject.name}, ${inFlight} in flight`, ...row, notes: {} };
}
