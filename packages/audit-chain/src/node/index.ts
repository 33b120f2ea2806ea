export { createFileSegmentStore } from "./file-store.js";
