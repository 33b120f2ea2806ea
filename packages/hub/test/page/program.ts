/** What the page under test runs: a hub that can say what its page is called, and wait until it is told to stop. */
import { createPageHub, type PageHub } from "../../src/page/index.js";

declare global {
  var openHub: (name?: string) => Promise<void>;
  var hub: PageHub;
  var cancelled: string[];
  var fillDisk: () => Promise<void>;
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

/** Puts pieces into a database of its own until the smallest of them finds no room. */
globalThis.fillDisk = async () => {
  const opening = indexedDB.open("filler", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore("pieces", { autoIncrement: true });
  await new Promise((resolve) => {
    opening.onsuccess = resolve;
  });
  for (let bytes = 65_536; bytes > 16; bytes >>= 1) {
    for (let fits = true; fits; ) {
      fits = await new Promise((resolve) => {
        const transaction = opening.result.transaction("pieces", "readwrite");
        transaction.objectStore("pieces").put(crypto.getRandomValues(new Uint8Array(bytes)));
        transaction.oncomplete = () => resolve(true);
        transaction.onabort = () => resolve(false);
      });
    }
  }
};
