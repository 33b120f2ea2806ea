/** Finds the id of a JSON-RPC message that is too long to be kept, in constant memory: the rest of it is let go as it comes. */

const quote = 34;
const comma = 44;
const colon = 58;
const openBracket = 91;
const backslash = 92;
const closeBracket = 93;
const openBrace = 123;
const closeBrace = 125;
/** Longer than `"id"` and than any number this hub makes. */
const maxTokenChars = 24;

/** Reads one message, piece by piece. */
export class JsonRpcIdScanner {
  #depth = 0;
  #inString = false;
  #escaped = false;
  /** What stands between two marks of the outermost object, a key or a value that is no object. */
  #token = "";
  #key = "";
  #id: number | undefined;
  #method = false;

  /** The id as far as it is known; undefined for a notification, a request of the app's, or an id that is no number. */
  get id(): number | undefined {
    return this.#method ? undefined : this.#id;
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at]!;
      if (this.#inString) this.#string(byte);
      else this.#mark(byte);
    }
  }

  #string(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === backslash) this.#escaped = true;
    else if (byte === quote) this.#inString = false;
    if (this.#depth === 1) this.#keep(byte);
  }

  #mark(byte: number): void {
    switch (byte) {
      case quote:
        this.#inString = true;
        if (this.#depth === 1) this.#keep(byte);
        return;
      case openBrace:
      case openBracket:
        this.#depth++;
        return;
      case closeBrace:
      case closeBracket:
        if (this.#depth === 1) this.#member();
        this.#depth--;
        return;
      case colon:
        if (this.#depth === 1) {
          this.#key = this.#token;
          this.#token = "";
        }
        return;
      case comma:
        if (this.#depth === 1) this.#member();
        return;
      default:
        if (this.#depth === 1 && byte > 32) this.#keep(byte);
    }
  }

  #keep(byte: number): void {
    if (this.#token.length < maxTokenChars) this.#token += String.fromCharCode(byte);
  }

  /** A member of the outermost object has ended. */
  #member(): void {
    if (this.#key === '"id"' && /^\d{1,15}$/.test(this.#token)) this.#id = Number(this.#token);
    if (this.#key === '"method"') this.#method = true;
    this.#key = "";
    this.#token = "";
  }
}
