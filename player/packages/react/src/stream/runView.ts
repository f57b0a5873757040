import type { Run, RunNode } from "../api/types.ts";

/** A run with its nodes, kept up to date by the status events of its stream. */
export class RunView {
  #run: Run | undefined;
  #seq = -1;
  readonly #nodes = new Map<string, RunNode>();
  readonly #ends = new Map<string, number>();
  #built: Run | undefined;

  constructor(initial: Run | undefined) {
    if (initial !== undefined) this.replace(initial, initial.lastSeq);
  }

  /** Up to which entry this view is true; −1: there is none yet. */
  get seq(): number {
    return this.#seq;
  }

  get run(): Run | undefined {
    if (this.#run === undefined) return undefined;
    this.#built ??= { ...this.#run, nodes: [...this.#nodes.values()] };
    return this.#built;
  }

  node(nodeRef: string): RunNode | undefined {
    return this.#nodes.get(nodeRef);
  }

  /** An entry at or behind the last of the node's streams; undefined: they have not ended, as far as known. */
  endOf(nodeRef: string): number | undefined {
    return this.#ends.get(nodeRef);
  }

  get hasNodes(): boolean {
    return this.#nodes.size > 0;
  }

  /** The whole run, as the first status of a stream tells it; an older one changes nothing. */
  replace(run: Run, seq: number): boolean {
    if (seq < this.#seq) return false;
    if (run.nodes != null) for (const node of run.nodes) this.#put(node, seq);
    return this.#take(run, seq);
  }

  /** A later status: the run without its nodes, and the node that changed. */
  apply(run: Run, node: RunNode | undefined, seq: number): boolean {
    if (seq <= this.#seq) return false;
    if (node !== undefined) this.#put(node, seq);
    return this.#take(run, seq);
  }

  #put(node: RunNode, seq: number): void {
    this.#nodes.set(node.ref, node);
    if (node.final != null && !this.#ends.has(node.ref)) this.#ends.set(node.ref, seq);
  }

  #take(run: Run, seq: number): boolean {
    this.#run = run;
    this.#seq = seq;
    this.#built = undefined;
    return true;
  }
}
