/** The newest of what was added, at most `capacity`. */
export class Newest<T> {
  readonly #capacity: number;
  #items: readonly T[] = [];
  #added: T[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  add(item: T): void {
    this.#added.push(item);
    // Between two looks no more is kept than a look can show.
    if (this.#added.length > 2 * this.#capacity) this.#added.splice(0, this.#capacity);
  }

  /** The same array until something was added. */
  get items(): readonly T[] {
    if (this.#added.length > 0) {
      this.#items = [...this.#items, ...this.#added].slice(-this.#capacity);
      this.#added = [];
    }
    return this.#items;
  }
}
