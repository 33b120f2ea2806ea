export { encodeMemoryLeaf, memoryAuthenticator } from "./leaf.js";
export {
  createMemoryNetwork,
  type Heal,
  type MemoryNetwork,
  type MemoryNetworkOptions,
  type MemoryTransportOptions,
} from "./network.js";
export { type MemorySessionOptions, openMemorySession } from "./session.js";
export { createMemorySessionPair, type MemorySessionPairOptions, type MemorySessionSide } from "./session-pair.js";
export { createMemoryStore, type MemoryStoreOptions, type StoreFault, type StoreOperation } from "./store.js";
