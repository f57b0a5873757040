import type { Terminal as Xterm } from "@xterm/xterm";
import { type Box, type Cell, cellsToFit, fontToFit } from "./fit.ts";

interface Size {
  cols: number;
  rows: number;
}

/**
 * Fits a terminal into its place: a recorded size is kept and the font shrinks; without one there are as many cells
 * as there is room for. Tells the page by `--rc-natural-height` (on the console's stage, else on the terminal) how high it would like to be.
 */
export class TerminalSizer {
  readonly #host: HTMLElement;
  readonly #terminal: Xterm;
  readonly #observer: ResizeObserver | undefined;
  #maxFontPx: number;
  #size: Size | undefined;
  #isTold = false;

  constructor(host: HTMLElement, terminal: Xterm, maxFontPx: number, size: Size | undefined) {
    this.#host = host;
    this.#terminal = terminal;
    this.#maxFontPx = maxFontPx;
    this.#size = size;
    this.#applyMode();
    this.#observer = typeof ResizeObserver === "undefined" ? undefined : new ResizeObserver(() => this.fit());
    this.#observer?.observe(host);
    this.fit();
  }

  /** The size that the output says, in its order. */
  setSize(size: Size): void {
    this.#isTold = true;
    this.#take(size);
  }

  /** The size that the run says; the output knows better. */
  expectSize(size: Size): void {
    if (!this.#isTold) this.#take(size);
  }

  setMaxFont(maxFontPx: number): void {
    if (maxFontPx === this.#maxFontPx) return;
    this.#maxFontPx = maxFontPx;
    this.fit();
  }

  dispose(): void {
    this.#observer?.disconnect();
  }

  fit(): void {
    const cell = this.#measure();
    const box = this.#room();
    if (cell === undefined || box === undefined) return;
    if (this.#size === undefined) this.#fitCells(cell, box);
    else this.#fitFont(cell, this.#size, box);
  }

  #take(size: Size): void {
    this.#size = size;
    this.#applyMode();
    this.#terminal.resize(size.cols, size.rows);
    this.fit();
  }

  #applyMode(): void {
    this.#terminal.options.convertEol = this.#size === undefined;
    this.#host.dataset.fit = this.#size === undefined ? "cells" : "font";
  }

  #fitFont(cell: Cell, { cols, rows }: Size, box: Box): void {
    const byWidth = fontToFit(
      cell,
      cols,
      rows,
      { width: box.width, height: Number.POSITIVE_INFINITY },
      this.#maxFontPx,
    );
    this.#tellNaturalHeight((cell.height * byWidth * rows) / cell.fontPx);
    const fontPx = fontToFit(cell, cols, rows, box, this.#maxFontPx);
    if (fontPx !== this.#terminal.options.fontSize) this.#terminal.options.fontSize = fontPx;
  }

  #fitCells(cell: Cell, box: Box): void {
    this.#tellNaturalHeight(NATURAL_ROWS * cell.height);
    if (this.#terminal.options.fontSize !== this.#maxFontPx) {
      this.#terminal.options.fontSize = this.#maxFontPx;
      this.fit();
      return;
    }
    const { cols, rows } = cellsToFit(cell, box);
    if (cols !== this.#terminal.cols || rows !== this.#terminal.rows) this.#terminal.resize(cols, rows);
  }

  #tellNaturalHeight(height: number): void {
    const { paddingTop, paddingBottom } = getComputedStyle(this.#host);
    const padding = pixels(paddingTop) + pixels(paddingBottom);
    const place = this.#host.closest<HTMLElement>(".rc-stage") ?? this.#host;
    place.style.setProperty("--rc-natural-height", `${Math.ceil(height + padding)}px`);
  }

  #measure(): Cell | undefined {
    const screen = this.#host.querySelector<HTMLElement>(".xterm-screen");
    const fontPx = this.#terminal.options.fontSize ?? 0;
    if (screen === null || screen.clientWidth === 0 || screen.clientHeight === 0 || fontPx === 0)
      return undefined;
    return {
      width: screen.clientWidth / this.#terminal.cols,
      height: screen.clientHeight / this.#terminal.rows,
      fontPx,
    };
  }

  #room(): Box | undefined {
    const { paddingLeft, paddingRight, paddingTop, paddingBottom } = getComputedStyle(this.#host);
    const width = this.#host.clientWidth - pixels(paddingLeft) - pixels(paddingRight) - SCROLLBAR_PX;
    const height = this.#host.clientHeight - pixels(paddingTop) - pixels(paddingBottom);
    return width > 0 && height > 0 ? { width, height } : undefined;
  }
}

/** Room that xterm's scrollbar takes beside the cells. */
const SCROLLBAR_PX = 14;
/** How many rows a console without a size would like to have. */
const NATURAL_ROWS = 24;

function pixels(value: string): number {
  return Number.parseFloat(value) || 0;
}
