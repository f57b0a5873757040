import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import type { TerminalChunk } from "../api/types.ts";
import type { Integrity } from "./types.ts";

export type Arrival = "next" | "repeat" | "afterHole";

/** What came of one stream of a node: order, holes, and the hash while every byte is here. */
export class StreamTrack {
  /** The index that comes next; undefined until a chunk or a screen has told where the stream is. */
  #nextIndex: number | undefined;
  #isHoleTold = false;
  #bytes = 0;
  #hash: ReturnType<typeof sha256.create> | undefined = sha256.create();
  #isEnded = false;
  #integrity: Integrity = "unknown";

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get integrity(): Integrity {
    return this.#integrity;
  }

  /** Goes on behind a chunk without the bytes before it. */
  joinAfter(chunkIndex: number | null | undefined): void {
    this.#nextIndex = chunkIndex == null ? undefined : chunkIndex + 1;
    this.#hash = undefined;
  }

  /** A hole before the next chunk is known already. */
  tellHole(): void {
    this.#isHoleTold = true;
  }

  arrive(chunk: TerminalChunk): Arrival {
    const expected = this.#nextIndex;
    if (expected !== undefined && chunk.chunkIndex < expected) return "repeat";
    const isKnown = expected === undefined || this.#isHoleTold;
    this.#nextIndex = chunk.chunkIndex + 1;
    this.#isHoleTold = false;
    if (chunk.chunkIndex === (expected ?? 0)) return "next";
    this.#hash = undefined;
    return isKnown ? "next" : "afterHole";
  }

  output(bytes: Uint8Array): void {
    this.#bytes += bytes.length;
    this.#hash?.update(bytes);
  }

  /** Takes the last chunk and compares what came with what it says. */
  end(final: TerminalChunk["final"]): void {
    this.#isEnded = true;
    if (this.#hash === undefined || final == null) return;
    const isEqual =
      final.bytes === this.#bytes &&
      final.chunks === this.#nextIndex &&
      final.sha256 === bytesToHex(this.#hash.digest());
    this.#integrity = isEqual ? "verified" : "mismatch";
    this.#hash = undefined;
  }
}
