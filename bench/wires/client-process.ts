/** The calling side of a wire, with the load. */
import { serveParent } from "../child.ts";
import { load, type Sample } from "../load.ts";
import { createRandom, randomText } from "../random.ts";
import { wires } from "./index.ts";
import type { WireSetUp } from "./wire.ts";

/** What the calling side is made from. */
export interface WireClientSetUp extends WireSetUp {
  readonly address: string;
  readonly payloadBytes: number;
  readonly seed: number;
}

/** A stretch of calls, or a push, which takes as long as it takes. */
export type WireWork =
  | { readonly kind: "calls"; readonly inFlight: number; readonly durationMs: number }
  | { readonly kind: "push"; readonly bytes: number };

serveParent<WireClientSetUp, object, WireWork, Sample>(async (setUp) => {
  const { payloadBytes, seed, address } = setUp;
  const wire = await wires.get(setUp.wire)!();
  const { echo, push, close } = await wire.connect(setUp, address);
  const random = createRandom(seed);
  const bodies = Array.from({ length: 64 }, (): Uint8Array => Buffer.from(randomText(payloadBytes, random)));
  const equal = (sent: Uint8Array, got: Uint8Array) => Buffer.compare(sent, got) === 0;
  return {
    ready: {},
    close,
    async work(work) {
      if (work.kind === "calls") return await load(echo, { ...work, bodies, equal });
      const startMs = performance.now();
      await push!(work.bytes);
      return { latenciesMs: [], elapsedMs: performance.now() - startMs };
    },
  };
});
