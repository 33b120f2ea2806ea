import { room } from "../../scripts/tsup-room.ts";

export default room({
  entry: [
    "src/index.ts",
    "src/core/index.ts",
    "src/chacha-node.ts",
    "src/chacha-noble.ts",
    "src/noise-suite-node.ts",
    "src/noise-suite-noble.ts",
    "src/hmac-node.ts",
    "src/hmac-noble.ts",
    "src/ed25519-node.ts",
    "src/ed25519-noble.ts",
  ],
});
