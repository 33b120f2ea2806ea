/** What an app printed on standard error, the last 64 KiB of it, across its restarts. */
import { redactText } from "../redaction.js";
import type { Conceal } from "./app-secrets.js";

const keptBytes = 64 * 1024;
const longestSecretBytes = 32 * 1024;
const newline = 10;

/** See the module header. */
export class AppLog {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #cut = false;

  /** Adds what was printed; `chunk` may be reused by the caller. */
  append(chunk: Buffer | string): void {
    const bytes = Buffer.from(chunk);
    this.#chunks.push(bytes.length > keptBytes ? Buffer.from(bytes.subarray(-keptBytes)) : bytes);
    this.#cut ||= bytes.length > keptBytes;
    this.#bytes += this.#chunks.at(-1)!.length;
    while (this.#bytes - this.#chunks[0]!.length >= keptBytes) {
      this.#bytes -= this.#chunks.shift()!.length;
      this.#cut = true;
    }
  }

  /** The last `count` lines, oldest first; the secrets are taken out here, where none is torn between two chunks. */
  lines(conceal: Conceal, count = Number.POSITIVE_INFINITY): string[] {
    const all = Buffer.concat(this.#chunks);
    const kept = all.subarray(-keptBytes);
    const lines = conceal(this.#whole(kept, kept.length < all.length).toString("utf8")).split("\n");
    if (lines.at(-1) === "") lines.pop();
    return lines.slice(-count);
  }

  /**
   * The last line that is not empty, at most 300 characters; "" when there is none. Callers are told it when the app fails, so
   * what looks like a secret is taken out, too.
   */
  last(conceal: Conceal): string {
    const line = this.lines(conceal).findLast((each) => each.trim() !== "") ?? "";
    return redactText(line.trim(), { maxChars: 300 });
  }

  /** Without a first line whose beginning is lost: half a secret is not recognised. */
  #whole(kept: Buffer, cut: boolean): Buffer {
    if (!cut && !this.#cut) return kept;
    const end = kept.indexOf(newline);
    return kept.subarray(end < 0 ? longestSecretBytes : end + 1);
  }
}
