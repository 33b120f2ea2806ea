/** The answering side of a wire. */
import { serveParent } from "../child.ts";
import { wires } from "./index.ts";
import type { WireSetUp } from "./wire.ts";

serveParent(async (setUp: WireSetUp) => {
  const wire = await wires.get(setUp.wire)!();
  const { address, close } = await wire.serve(setUp);
  return { ready: address, close };
});
