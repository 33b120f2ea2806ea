import { room } from "../../scripts/tsup-room.ts";

export default room({
  entry: [
    "src/index.ts",
    "src/core/index.ts",
    "src/chacha-node.ts",
    "src/chacha-noble.ts",
    "src/noise-dh-node.ts",
    "src/noise-dh-noble.ts",
    "src/ed25519-node.ts",
    "src/ed25519-noble.ts",
  ],
});
