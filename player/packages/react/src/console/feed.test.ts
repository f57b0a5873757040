import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { TerminalChunk } from "../api/types.ts";
import { output } from "../testing/service.ts";
import { RecordingSink } from "../testing/sink.ts";
import { TerminalFeed } from "./feed.ts";

function exit(
  seq: number,
  chunkIndex: number,
  text: string,
  more: Partial<TerminalChunk> = {},
): TerminalChunk {
  const sha256 = createHash("sha256").update(text).digest("hex");
  const final = { chunks: chunkIndex + 1, bytes: Buffer.byteLength(text), sha256, complete: true };
  return output(seq, chunkIndex, "", { kind: "exit", payload: null, exitCode: 0, final, ...more });
}

function feed(choice: "all" | "stdout" | "stderr" = "all") {
  const sink = new RecordingSink();
  return { sink, feed: new TerminalFeed("a", sink, choice) };
}

describe("the hash", () => {
  it("is verified for who has every byte", () => {
    const { feed: console } = feed();
    console.accept(output(2, 0, "one "));
    console.accept(output(3, 1, "é"));
    console.accept(exit(4, 2, "one é"));
    expect(console.getState()).toMatchObject({ isEnded: true, exitCode: 0, integrity: "verified", bytes: 6 });
  });

  it.each([
    ["another byte", output(3, 1, "x")],
    ["a byte too many", output(3, 1, "éé")],
  ])("does not match with %s", (_name, second) => {
    const { feed: console } = feed();
    console.accept(output(2, 0, "one "));
    console.accept(second);
    console.accept(exit(4, 2, "one é"));
    expect(console.getState().integrity).toBe("mismatch");
  });

  it("says nothing to who does not have the beginning, or misses a chunk", () => {
    const late = feed().feed;
    late.joinedLate(100);
    late.accept(output(3, 1, "é"));
    late.accept(exit(4, 2, "one é"));
    expect(late.getState()).toMatchObject({ integrity: "unknown", truncated: true, gaps: 0 });
    const holed = feed().feed;
    holed.accept(output(2, 0, "one "));
    holed.accept(exit(4, 2, "one é"));
    expect(holed.getState()).toMatchObject({ integrity: "unknown", gaps: 1 });
  });

  it("is not there where the stream itself has a gap, which is counted", () => {
    const { feed: console } = feed();
    console.accept(output(2, 0, "one "));
    console.accept(output(3, 1, "", { kind: "gap", payload: null, label: "data" }));
    console.accept(output(4, 2, "three"));
    expect(console.getState().gaps).toBe(1);
  });

  it("a hole that was told is one gap, of its stream alone", () => {
    const { feed: console } = feed();
    for (const stream of ["stdout", "stderr"] as const) console.accept(output(2, 0, "one ", { stream }));
    console.gap({ fromSeq: 3, toSeq: 5, reason: "lost", nodeRef: "a", stream: "stdout" });
    console.accept(output(6, 2, "three", { stream: "stdout" }));
    expect(console.getState().gaps).toBe(1);
    console.accept(output(7, 2, "three", { stream: "stderr" }));
    expect(console.getState().gaps).toBe(2);
  });

  it("is of each stream of a node without a terminal", () => {
    const { feed: console } = feed();
    console.accept(output(2, 0, "out", { stream: "stdout" }));
    console.accept(output(3, 0, "err", { stream: "stderr" }));
    console.accept(exit(4, 1, "out", { stream: "stdout" }));
    expect(console.getState()).toMatchObject({ isEnded: false, integrity: "unknown" });
    console.accept(exit(5, 1, "err", { stream: "stderr" }));
    expect(console.getState()).toMatchObject({ isEnded: true, integrity: "verified" });
  });
});

describe("what is painted", () => {
  it("is each byte once, whatever is repeated", () => {
    const { feed: console, sink } = feed();
    const chunks = [
      output(2, 0, "a"),
      output(3, 1, "b"),
      output(2, 0, "a"),
      output(3, 1, "b"),
      output(5, 2, "c"),
    ];
    for (const chunk of chunks) console.accept(chunk);
    console.advance(9);
    console.accept(output(8, 3, "never"));
    expect(sink.text).toBe("abc");
  });

  it("has the sizes in their place", () => {
    const { feed: console, sink } = feed();
    console.accept(output(2, 0, "", { kind: "resize", payload: null, cols: 100, rows: 40 }));
    console.accept(output(3, 1, "a"));
    console.accept(output(4, 2, "", { kind: "resize", payload: null, cols: 90, rows: 30 }));
    expect(sink.calls).toEqual(["resize 100×40", "write a", "resize 90×30"]);
    expect(console.getState()).toMatchObject({ cols: 90, rows: 30 });
  });

  it("shows standard error red, and no colour falls into a character", () => {
    const { feed: console, sink } = feed();
    const euro = Buffer.from("€");
    const part = (bytes: Buffer) => ({ stream: "stderr" as const, payload: bytes.toString("base64") });
    console.accept(output(2, 0, "", part(euro.subarray(0, 2))));
    console.accept(output(3, 0, "out", { stream: "stdout" }));
    console.accept(output(4, 1, "", part(euro.subarray(2))));
    expect(sink.text).toBe("\x1b[31m\x1b[39mout\x1b[31m€\x1b[39m");
  });

  it("is of one stream if one is chosen", () => {
    const { feed: console, sink } = feed("stdout");
    console.accept(output(2, 0, "out", { stream: "stdout" }));
    console.accept(output(3, 0, "err", { stream: "stderr" }));
    console.accept(exit(4, 1, "out", { stream: "stdout" }));
    expect(sink.text).toBe("out");
    expect(console.isEnded).toBe(true);
  });

  it("begins with a given screen and goes on after its seq", () => {
    const sink = new RecordingSink();
    const payload = Buffer.from("screen").toString("base64");
    const console = new TerminalFeed("a", sink, "all", { payload, cols: 90, rows: 20, seq: 7 });
    console.accept(output(7, 4, "before"));
    console.accept(output(8, 5, " after"));
    expect(console.cursor).toBe(7);
    expect(sink.text).toBe("screen after");
  });

  it("is nothing after the end of the terminal", () => {
    const { feed: console, sink } = feed();
    console.close();
    console.accept(output(2, 0, "late"));
    expect(sink.calls).toEqual([]);
  });

  it("counts lines", () => {
    const { feed: console } = feed();
    console.accept(output(2, 0, "a\nb\r\nc"));
    console.accept(output(3, 1, "\n\n"));
    expect(console.getState().lines).toBe(4);
  });
});

describe("room", () => {
  it("ends above the high watermark and is back below the low one", async () => {
    const { feed: console, sink } = feed();
    sink.isTaking = false;
    console.accept(output(2, 0, "x".repeat(500 * 1024)));
    expect(console.room()).toBeUndefined();
    console.accept(output(3, 1, "x".repeat(50 * 1024)));
    const room = console.room();
    expect(room).toBeInstanceOf(Promise);
    sink.drain();
    await room;
    expect(console.room()).toBeUndefined();
  });

  it("is there for who waits when the terminal goes", async () => {
    const { feed: console, sink } = feed();
    sink.isTaking = false;
    console.accept(output(2, 0, "x".repeat(600 * 1024)));
    const room = console.room();
    console.close();
    await room;
    expect(console.room()).toBeUndefined();
  });
});
