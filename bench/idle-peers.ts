/** What peers take that are connected and silent: many sessions over the LAN between two processes. */
import { startChild } from "./child.ts";
import { createIssuer } from "./credentials.ts";
import type { HeapUse } from "./idle-peers-process.ts";
import type { Row, RunOptions } from "./row.ts";
import type { WireCredentials } from "./wires/wire.ts";

const peers = 1_000;
const maxHeapKiB = 64;
const name = `idle peer, LAN, ${peers} of them`;

/** The row: of the hub that all the others have dialled. */
export async function idlePeerRows({ only = "", progress }: RunOptions): Promise<Row[]> {
  if (!name.includes(only)) return [];
  progress(`connecting ${peers} peers`);
  await using opened = new AsyncDisposableStack();
  const issue = await createIssuer();
  const hub = opened.use(
    await startChild<string, number, HeapUse>("./idle-peers-process.ts", { credentials: [await issue()] }),
  );
  const before = await hub.work(0);
  const credentials: WireCredentials[] = [];
  for (let i = 0; i < peers; i++) credentials.push(await issue());
  opened.use(await startChild<string>("./idle-peers-process.ts", { credentials, address: hub.ready }));
  const after = await hub.work(peers);
  const kib = (bytes: (use: HeapUse) => number) => (bytes(after) - bytes(before)) / peers / 1024;
  return [
    {
      name,
      unit: "KiB heap",
      value: kib(({ heapBytes }) => heapBytes),
      target: maxHeapKiB,
      better: "less",
      notes: {
        "RSS KiB": kib(({ rssBytes }) => rssBytes).toFixed(0),
        "buffers KiB": kib(({ bufferBytes }) => bufferBytes).toFixed(1),
      },
    },
  ];
}
