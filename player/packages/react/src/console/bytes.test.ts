import { expect, it } from "vitest";
import { decodeBase64, decodeByTable } from "./base64.ts";
import { openSequenceLength } from "./utf8.ts";

it.each([0, 1, 2, 3, 4, 255, 256, 1_000])(
  "base64 of %i bytes is decoded exactly, natively and by table",
  (length) => {
    const bytes = Uint8Array.from({ length }, (_, at) => (at * 7 + 3) & 255);
    const text = Buffer.from(bytes).toString("base64");
    expect([...decodeBase64(text)]).toEqual([...bytes]);
    expect([...decodeByTable(text)]).toEqual([...bytes]);
  },
);

it.each([
  ["", 0],
  ["plain", 0],
  ["é", 0],
  ["€", 0],
  ["😀", 0],
])("%j is whole", (text, open) => {
  expect(openSequenceLength(Buffer.from(text))).toBe(open);
});

it.each(["é", "€", "😀"])("what is cut of %s is known", (character) => {
  const bytes = Buffer.from(`a${character}`);
  for (let length = 2; length < bytes.length; length += 1) {
    expect(openSequenceLength(bytes.subarray(0, length))).toBe(length - 1);
  }
});

it("bytes that belong to no character are not held back", () => {
  expect(openSequenceLength(Uint8Array.of(0x80, 0x80, 0x80, 0x80))).toBe(0);
});
