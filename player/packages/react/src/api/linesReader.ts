import { ApiError } from "./error.ts";
import type { Line } from "./types.ts";

/**
 * Reads `{"lines":[…],"nextFrom":…,"totalLines":…}` while it arrives: gives each line as soon as its object is
 * whole, and what stands behind the lines at the end.
 */
export async function* readLines(
  response: Response,
): AsyncGenerator<Line, { nextFrom: number; totalLines: number | null }> {
  const splitter = new LineObjects();
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (reader === undefined) throw new ApiError(0, "PROTOCOL", "the answer has no body");
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      for (const text of splitter.feed(value)) yield JSON.parse(text) as Line;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  return splitter.end();
}

/** Splits the objects of the array `lines` off a document that arrives in pieces. */
class LineObjects {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  #object = "";
  /** The document without the objects of the array. */
  #rest = "";

  feed(text: string): string[] {
    const found: string[] = [];
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      const character = text[at];
      if (this.#isEscaped) {
        this.#isEscaped = false;
      } else if (this.#isInString) {
        if (character === "\\") this.#isEscaped = true;
        else if (character === '"') this.#isInString = false;
      } else if (character === '"') {
        this.#isInString = true;
      } else if (character === "{" || character === "[") {
        // Depth 2 is inside the array; an object that opens there is a line.
        if (this.#depth === 2) {
          this.#rest += text.slice(from, at).replaceAll(",", "");
          from = at;
        }
        this.#depth += 1;
      } else if (character === "}" || character === "]") {
        this.#depth -= 1;
        if (this.#depth === 2) {
          found.push(this.#object + text.slice(from, at + 1));
          this.#object = "";
          from = at + 1;
        }
      }
    }
    const tail = text.slice(from);
    if (this.#depth > 2) this.#object += tail;
    else this.#rest += this.#depth === 2 ? tail.replaceAll(",", "") : tail;
    return found;
  }

  end(): { nextFrom: number; totalLines: number | null } {
    try {
      const { nextFrom, totalLines } = JSON.parse(this.#rest) as Record<string, number | null>;
      return { nextFrom: nextFrom ?? 0, totalLines: totalLines ?? null };
    } catch (error) {
      throw new ApiError(0, "NETWORK", "the answer was cut off", { cause: error });
    }
  }
}
