export type { LineConditions } from "./one-way.js";
export { createTcpLine, type LineDirection, type TcpLine, type TcpLineOptions } from "./tcp-line.js";
