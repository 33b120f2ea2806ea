/** What the page under test runs: a hub that can say what its page is called, and wait until it is told to stop. */
import { createPageHub, type PageHub } from "../../src/page/index.js";

declare global {
  var openHub: (name?: string) => Promise<void>;
  var hub: PageHub;
  var cancelled: string[];
}

globalThis.cancelled = [];
globalThis.openHub = async (name = "page") => {
  globalThis.hub = await createPageHub({
    name,
    apps: {
      tab: {
        title: "This tab",
        tools: {
          title: {
            description: "What the page is called",
            annotations: { readOnlyHint: true },
            run: () => document.title,
          },
          rename: {
            inputSchema: { type: "object", properties: { to: { type: "string" } }, required: ["to"] },
            run: ({ to }) => {
              if (typeof to !== "string") throw new TypeError("to is no text");
              document.title = to;
              return { content: [], structuredContent: { title: to } };
            },
          },
          wait: {
            run: async (_args, { signal, notify }) => {
              notify({ method: "notifications/progress", params: { progress: 1, progressToken: 0 } });
              await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
              globalThis.cancelled.push((signal.reason as { code: string }).code);
              return "";
            },
          },
        },
      },
    },
  });
};
