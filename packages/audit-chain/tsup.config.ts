import { room } from "../../scripts/tsup-room.ts";

export default room({
  entry: {
    index: "src/index.ts",
    "memory/index": "src/memory/index.ts",
    "node/index": "src/node/index.ts",
    "hmac-sha256-node": "src/hmac-sha256-node.ts",
    "hmac-sha256-noble": "src/hmac-sha256-noble.ts",
  },
});
