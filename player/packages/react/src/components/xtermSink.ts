import type { Terminal } from "@xterm/xterm";
import type { TerminalSink } from "../console/types.ts";

/** RIS: everything as on a fresh terminal, scrollback included. Bytes, so that an open UTF-8 sequence ends. */
const RESET = new Uint8Array([0x1b, 0x63]);

/** An xterm as a sink. Sizes and resets take effect between the writes before and after them. */
export class XtermSink implements TerminalSink {
  readonly #terminal: Terminal;
  readonly #onResize: (cols: number, rows: number) => void;
  #isDisposed = false;

  constructor(terminal: Terminal, onResize: (cols: number, rows: number) => void) {
    this.#terminal = terminal;
    this.#onResize = onResize;
  }

  write(data: Uint8Array | string, callback?: () => void): void {
    if (!this.#isDisposed) this.#terminal.write(data, callback);
  }

  resize(cols: number, rows: number): void {
    this.write("", () => {
      if (!this.#isDisposed) this.#onResize(cols, rows);
    });
  }

  reset(): void {
    this.write(RESET);
  }

  dispose(): void {
    this.#isDisposed = true;
  }
}
