export type { PageApp, PageTool, PageToolResult } from "./page-apps.js";
export { createPageHub, type PageHub, type PageHubOptions } from "./page-hub.js";
