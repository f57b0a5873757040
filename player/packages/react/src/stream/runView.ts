import type { Run, RunNode } from "../api/types.ts";

/** A run with its nodes, kept up to date by the status events of its stream. */
export class RunView {
  #run: Run | undefined;
  #seq = -1;
  readonly #nodes = new Map<string, RunNode>();
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

  get hasNodes(): boolean {
    return this.#nodes.size > 0;
  }

  /** The whole run, as the first status of a stream tells it; an older one changes nothing. */
  replace(run: Run, seq: number): boolean {
    if (seq < this.#seq) return false;
    if (run.nodes != null) for (const node of run.nodes) this.#nodes.set(node.ref, node);
    return this.#take(run, seq);
  }

  /** A later status: the run without its nodes, and the node that changed. */
  apply(run: Run, node: RunNode | undefined, seq: number): boolean {
    if (seq <= this.#seq) return false;
    if (node !== undefined) this.#nodes.set(node.ref, node);
    return this.#take(run, seq);
  }

  #take(run: Run, seq: number): boolean {
    this.#run = run;
    this.#seq = seq;
    this.#built = undefined;
    return true;
  }
}
