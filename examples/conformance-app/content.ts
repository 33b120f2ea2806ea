/** The smallest content of each kind. */
import type { CallToolResult } from "@modelcontextprotocol/server";

/** A PNG of one red pixel, base64. */
export const redPixel =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";

/** A WAV without a sample, 8 kHz, mono, 8 bits, base64. */
export const silence = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/** A result of one text. */
export function text(value: string): CallToolResult {
  return { content: [{ type: "text", text: value }] };
}
