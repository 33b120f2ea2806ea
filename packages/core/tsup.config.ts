import { room } from "../../scripts/tsup-room.ts";

export default room({
  entry: ["src/index.ts", "src/memory/index.ts", "src/testing/index.ts", "src/testing-node/index.ts"],
});
