export { createMemorySegmentStore, type Fault, type MemorySegmentStore, type StoreOperation } from "./memory-store.js";
