/** Below this nobody can read: the terminal scrolls sideways then. */
export const MIN_FONT_PX = 7;

export interface Cell {
  width: number;
  height: number;
  /** Size of the font for which it was measured. */
  fontPx: number;
}

export interface Box {
  width: number;
  height: number;
}

/** Largest font, in steps of half a pixel, with which so many cells fit into a box; at most `maxPx`. */
export function fontToFit(cell: Cell, cols: number, rows: number, box: Box, maxPx: number): number {
  const byWidth = (cell.fontPx * box.width) / (cell.width * cols);
  const byHeight = (cell.fontPx * box.height) / (cell.height * rows);
  const largest = Math.min(byWidth, byHeight, maxPx);
  return Math.max(Math.floor(largest * 2) / 2, MIN_FONT_PX);
}

/** How many cells fit into a box, at least 20 × 4. */
export function cellsToFit(cell: Cell, box: Box): { cols: number; rows: number } {
  return {
    cols: Math.max(Math.floor(box.width / cell.width), 20),
    rows: Math.max(Math.floor(box.height / cell.height), 4),
  };
}
