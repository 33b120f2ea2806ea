/** All that a page needs to be a hub. Its invitation comes behind the `#` of its address, which no server sees. */
import { createPageHub } from "@fed/hub/page";

const hub = await createPageHub({
  name: "page",
  apps: {
    tab: {
      title: "A browser tab",
      tools: {
        title: {
          description: "What the page is called",
          annotations: { readOnlyHint: true },
          run: () => document.title,
        },
        say: {
          description: "Puts a text before whoever looks at the page",
          inputSchema: { type: "object", properties: { text: { type: "string" } }, required: ["text"] },
          run: ({ text }, { caller }) => {
            if (typeof text !== "string") throw new TypeError("text is missing");
            say(`${caller.operator.split("@")[0]} says: ${text}`);
            return "said";
          },
        },
      },
    },
  },
});
// What it keeps makes it the same hub when the page is opened again: it joins once.
if (!hub.joined) await hub.cluster.join(location.hash.slice(1));
await hub.sharing.share("tab", "cluster");
say(`a hub of ${hub.cluster.status().name}`);

function say(line: string): void {
  document.body.append(line, document.createElement("br"));
}
