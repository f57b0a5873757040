import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { RuncastClient } from "../api/client.ts";
import { eventually } from "../testing/eventually.ts";
import { RecordingSink } from "../testing/sink.ts";
import { MAX_UNPAINTED_BYTES, SessionConnection } from "./connection.ts";

const ID = "session_1_abcdefgh";

/** A socket whose other side is the test. */
class FakeSocket extends EventTarget {
  static all: FakeSocket[] = [];
  static readonly OPEN = 1;
  readonly url: string;
  readonly sent: (string | Uint8Array)[] = [];
  readyState = 1;
  binaryType = "blob";

  constructor(url: string) {
    super();
    this.url = url;
    FakeSocket.all.push(this);
  }

  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }

  close(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => this.dispatchEvent(new Event("close")));
  }

  tell(document: object): void {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(document) }));
  }

  write(offset: number, text: string): void {
    const bytes = new TextEncoder().encode(text);
    const frame = new Uint8Array(8 + bytes.length);
    new DataView(frame.buffer).setBigUint64(0, BigInt(offset));
    frame.set(bytes, 8);
    this.dispatchEvent(new MessageEvent("message", { data: frame.buffer }));
  }

  get offset(): string | null {
    return new URL(this.url).searchParams.get("offset");
  }
}

/** What the service says of the session when it is asked. */
let answer: { status: number; body: object };

function connect(sink: RecordingSink, options = {}): SessionConnection {
  const fetch = async () => new Response(JSON.stringify(answer.body), { status: answer.status });
  return new SessionConnection(
    new RuncastClient({ baseUrl: "http://runcast.test", fetch }),
    ID,
    sink,
    options,
  );
}

async function socket(number: number): Promise<FakeSocket> {
  await eventually(() => expect(FakeSocket.all.length).toBeGreaterThanOrEqual(number));
  const found = FakeSocket.all[number - 1];
  if (found === undefined) throw new Error("it was there");
  return found;
}

const view = (state = "active") => ({ id: ID, state, active: state === "active", cols: 80, rows: 24 });

describe("a session", () => {
  let made: SessionConnection | undefined;
  beforeEach(() => {
    FakeSocket.all = [];
    answer = { status: 200, body: { success: true, session: view() } };
    vi.stubGlobal("WebSocket", FakeSocket);
  });
  afterEach(() => {
    made?.close();
    vi.unstubAllGlobals();
  });

  it("is painted in order, each byte once, over connections that break", async () => {
    const sink = new RecordingSink();
    made = connect(sink);
    const first = await socket(1);
    expect(first.url).toBe(`ws://runcast.test/api/v1/terminals/${ID}/ws`);
    first.tell({ type: "ready", session: view(), offset: 0 });
    expect(made.getState().status).toBe("attached");
    first.tell({ type: "resize", offset: 0, cols: 80, rows: 24 });
    first.write(0, "hello ");
    first.close();
    const second = await socket(2);
    expect(second.offset).toBe("6");
    second.tell({ type: "ready", session: view(), offset: 6 });
    // What was sent again changes nothing.
    second.write(3, "lo wor");
    second.write(9, "ld");
    expect(sink.text).toBe("hello world");
    expect(sink.calls).toContain("resize 80×24");
  });

  it("is repainted when what was missed is gone", async () => {
    const sink = new RecordingSink();
    made = connect(sink);
    const first = await socket(1);
    first.tell({ type: "ready", session: view(), offset: 0 });
    first.write(0, "old");
    first.close();
    const second = await socket(2);
    second.tell({ type: "ready", session: view(), offset: 900 });
    second.tell({ type: "truncated", fromOffset: 900 });
    second.tell({ type: "snapshot", offset: 900, cols: 90, rows: 30, payload: btoa("screen") });
    second.write(900, " new");
    expect(sink.text).toBe("screen new");
    // A byte that is missing is asked for.
    second.write(1000, "later");
    const third = await socket(3);
    expect(third.offset).toBe("904");
  });

  it("is left while the terminal does not paint, and taken up again where it was", async () => {
    const sink = new RecordingSink();
    sink.isTaking = false;
    made = connect(sink);
    const first = await socket(1);
    first.tell({ type: "ready", session: view(), offset: 0 });
    const part = "x".repeat(1024 * 1024);
    let sent = 0;
    while (first.readyState === 1) {
      first.write(sent, part);
      sent += part.length;
    }
    expect(sent).toBeLessThanOrEqual(MAX_UNPAINTED_BYTES + part.length);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(FakeSocket.all).toHaveLength(1);
    sink.drain();
    expect((await socket(2)).offset).toBe(String(sent));
  });

  it("tells its size when it is attached and when it changes, and types in pieces", async () => {
    made = connect(new RecordingSink());
    made.resize(100, 30);
    made.type("lost");
    const first = await socket(1);
    first.tell({ type: "ready", session: view(), offset: 0 });
    made.resize(100, 30);
    made.resize(90, 30);
    made.type("é");
    made.type("y".repeat(70_000));
    const [size, change, typed, ...pieces] = first.sent.slice(
      first.sent.indexOf('{"type":"resize","cols":100,"rows":30}'),
    );
    expect([size, change]).toEqual([
      '{"type":"resize","cols":100,"rows":30}',
      '{"type":"resize","cols":90,"rows":30}',
    ]);
    expect(typed).toEqual(new TextEncoder().encode("é"));
    expect(pieces.map((piece) => piece.length)).toEqual([32_768, 32_768, 4464]);
  });

  it("ends with its program, and is not asked for again", async () => {
    made = connect(new RecordingSink(), { readonly: true });
    const first = await socket(1);
    expect(new URL(first.url).searchParams.get("readonly")).toBe("true");
    made.resize(90, 30);
    first.tell({ type: "ready", session: view(), offset: 0 });
    expect(first.sent).toEqual([]);
    first.tell({ type: "exit", exitCode: 3, session: { ...view("terminated"), exitCode: 3 } });
    first.close();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(made.getState()).toMatchObject({ status: "ended", session: { exitCode: 3 } });
    expect(FakeSocket.all).toHaveLength(1);
  });

  it("gives up only where nothing is left to come back to", async () => {
    made = connect(new RecordingSink());
    const first = await socket(1);
    answer = { status: 503, body: { error: { code: "UNAVAILABLE", message: "away" } } };
    first.close();
    const second = await socket(2);
    answer = { status: 404, body: { error: { code: "NOT_FOUND", message: "there is no session" } } };
    second.close();
    await eventually(() => expect(made?.getState().status).toBe("failed"));
    expect(made.getState().message).toBe("there is no session");
    expect(FakeSocket.all).toHaveLength(2);
  });
});
