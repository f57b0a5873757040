/** The order of the rows of a page. */
export interface Order {
  /** Of the column. */
  readonly key: string;
  readonly isDescending: boolean;
}

export type Sortable = string | number;

/** The order after a click on the head of a column: first its largest, then its smallest, then as they came. */
export function nextOrder(before: Order | undefined, key: string): Order | undefined {
  if (before?.key !== key) return { key, isDescending: true };
  return before.isDescending ? { key, isDescending: false } : undefined;
}

/** The rows in this order; equal ones stay as they came. */
export function inOrder<T>(rows: readonly T[], by: (row: T) => Sortable, isDescending: boolean): T[] {
  const direction = isDescending ? -1 : 1;
  return [...rows].sort((one, other) => direction * compare(by(one), by(other)));
}

function compare(one: Sortable, other: Sortable): number {
  if (typeof one === "number" && typeof other === "number") return one - other;
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
