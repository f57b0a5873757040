const CODES = new Uint8Array(128);
for (const [value, character] of [
  ..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
].entries()) {
  CODES[character.charCodeAt(0)] = value;
}

type NativeDecoder = { fromBase64?: (text: string) => Uint8Array };
const native = (Uint8Array as NativeDecoder).fromBase64?.bind(Uint8Array);

/** The bytes of standard base64 with padding, as the service writes it; natively where the browser can. */
export function decodeBase64(text: string): Uint8Array {
  return native === undefined ? decodeByTable(text) : native(text);
}

/** Without a string in between, which would double the memory of a busy console. */
export function decodeByTable(text: string): Uint8Array {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  let to = 0;
  for (let at = 0; at < text.length; at += 4) {
    const group =
      (codeAt(text, at) << 18) |
      (codeAt(text, at + 1) << 12) |
      (codeAt(text, at + 2) << 6) |
      codeAt(text, at + 3);
    bytes[to] = group >> 16;
    bytes[to + 1] = (group >> 8) & 255;
    bytes[to + 2] = group & 255;
    to += 3;
  }
  return bytes;
}

function codeAt(text: string, at: number): number {
  return CODES[text.charCodeAt(at) & 127] ?? 0;
}
