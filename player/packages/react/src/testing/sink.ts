import type { TerminalSink } from "../console/types.ts";

/** A terminal that remembers what it was told, and takes writes when the test says. */
export class RecordingSink implements TerminalSink {
  readonly calls: string[] = [];
  readonly #decoder = new TextDecoder();
  #callbacks: (() => void)[] = [];
  isTaking = true;

  /** All text since the last reset. */
  get text(): string {
    const from = this.calls.lastIndexOf("reset") + 1;
    return this.calls
      .slice(from)
      .filter((call) => call.startsWith("write "))
      .map((call) => call.slice("write ".length))
      .join("");
  }

  write(data: Uint8Array | string, callback?: () => void): void {
    this.calls.push(
      `write ${typeof data === "string" ? data : this.#decoder.decode(data, { stream: true })}`,
    );
    if (callback === undefined) return;
    if (this.isTaking) callback();
    else this.#callbacks.push(callback);
  }

  resize(cols: number, rows: number): void {
    this.calls.push(`resize ${cols}×${rows}`);
  }

  reset(): void {
    this.calls.push("reset");
  }

  /** Takes everything that was written. */
  drain(): void {
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback();
  }
}
