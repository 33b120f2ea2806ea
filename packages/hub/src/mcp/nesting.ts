/** How deep a JSON text is nested, found before it is taken apart: whoever walks through a value later goes that deep. */

const backslash = 0x5c;

/** Whether arrays and objects in `json` stand deeper within each other than `most`. Of a text that is no JSON anything. */
export function isDeeperThan(json: string, most: number): boolean {
  let depth = 0;
  for (let i = 0; i < json.length; i++) {
    switch (json.charCodeAt(i)) {
      case 0x22:
        i = endOfString(json, i);
        break;
      case 0x5b:
      case 0x7b:
        if (++depth > most) return true;
        break;
      case 0x5d:
      case 0x7d:
        depth--;
    }
  }
  return false;
}

/** The index of the quote that closes the string opened at `start`, or the end. */
function endOfString(json: string, start: number): number {
  for (let i = start + 1; ; i++) {
    i = json.indexOf('"', i);
    if (i < 0) return json.length;
    let before = i - 1;
    while (json.charCodeAt(before) === backslash) before--;
    if ((i - before) % 2 === 1) return i;
  }
}
