import { room } from "../../scripts/tsup-room.ts";

export default room({ entry: ["src/index.ts", "src/page/index.ts"] });
