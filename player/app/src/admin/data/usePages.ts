import { useState } from "react";

/** Rows of a page. */
export const PAGE_ROWS = 50;

export interface Pages {
  /** What the service is asked with; undefined: the first page. */
  cursor: string | undefined;
  /** From 1. */
  number: number;
  next: (cursor: string) => void;
  previous: () => void;
}

/** Goes through a list that only knows what comes next. */
export function usePages(): Pages {
  const [cursors, setCursors] = useState<readonly string[]>([]);
  return {
    cursor: cursors.at(-1),
    number: cursors.length + 1,
    next: (cursor) => setCursors([...cursors, cursor]),
    previous: () => setCursors(cursors.slice(0, -1)),
  };
}
