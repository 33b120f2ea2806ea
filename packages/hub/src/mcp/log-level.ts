/** Severities of MCP log messages (RFC 5424), the least severe first. */
const levels = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];

/** Whether `level` is a severity. */
export function isLogLevel(level: unknown): level is string {
  return typeof level === "string" && levels.includes(level);
}

/** Whether a message of `level` is for somebody who asked for `wanted` and worse; nobody who asked for nothing. */
export function reaches(level: unknown, wanted: string | undefined): boolean {
  return wanted !== undefined && levels.indexOf(String(level)) >= levels.indexOf(wanted);
}
