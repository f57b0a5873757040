/** Points of figures of which the service keeps no history, gathered while the page is open. */

export interface Point {
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** How long points are kept. */
const KEPT_MS = 3_600_000;
const NONE: readonly never[] = [];

/** The points of each instance, oldest first. Bounded: those of an hour. */
export class Gathered<T extends Point> {
  readonly #points = new Map<string, readonly T[]>();
  readonly #listeners = new Set<() => void>();

  /** One more, unless it is not newer than the last. */
  add(instance: string, point: T): void {
    const points = this.of(instance);
    const last = points.at(-1);
    if (last !== undefined && point.at <= last.at) return;
    const oldest = point.at - KEPT_MS;
    this.#points.set(instance, [...points.filter(({ at }) => at >= oldest), point]);
    for (const listener of this.#listeners) listener();
  }

  of(instance: string): readonly T[] {
    return this.#points.get(instance) ?? NONE;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}
