/**
 * Rails beside a list: every node is a dot in the row of its entry and in the column of its layer,
 * every edge runs in the gutter before the layer it leads to, so that no line passes through a name.
 */
import { type GraphInput, layersOf } from "./layers";

export interface RailDot {
  readonly ref: string;
  readonly layer: number;
  readonly x: number;
  readonly y: number;
}

export interface RailEdge {
  readonly from: string;
  readonly to: string;
  readonly path: string;
}

export interface Rails {
  /** Width of the rails in CSS pixels; names begin behind it. */
  readonly width: number;
  readonly dots: readonly RailDot[];
  readonly edges: readonly RailEdge[];
}

const MAX_STEP = 24;
const MAX_WIDTH = 120;
const MARGIN = 14;

/** The nodes layer by layer, in the order of the document inside a layer. */
export function inLayers<Node extends GraphInput>(nodes: readonly Node[]): Node[] {
  const layers = layersOf(nodes);
  return [...nodes].sort((left, right) => (layers.get(left.ref) ?? 0) - (layers.get(right.ref) ?? 0));
}

/** Rails of nodes that are listed in this order, `rowHeight` pixels each. */
export function railsOf(ordered: readonly GraphInput[], rowHeight: number): Rails {
  const layers = layersOf(ordered);
  const deepest = Math.max(0, ...layers.values());
  const step = deepest === 0 ? 0 : Math.min(MAX_STEP, MAX_WIDTH / deepest);
  const dots = ordered.map((node, row) => {
    const layer = layers.get(node.ref) ?? 0;
    return { ref: node.ref, layer, x: MARGIN + layer * step, y: (row + 0.5) * rowHeight };
  });
  const byRef = new Map(dots.map((dot) => [dot.ref, dot]));
  const edges: RailEdge[] = [];
  for (const node of ordered) {
    for (const dependency of node.dependsOn) {
      const from = byRef.get(dependency);
      const to = byRef.get(node.ref);
      if (from && to && from.layer < to.layer)
        edges.push({ from: dependency, to: node.ref, path: railPath(from, to, step) });
    }
  }
  return { width: MARGIN * 2 + deepest * step, dots, edges };
}

function railPath(from: RailDot, to: RailDot, step: number): string {
  const gutter = to.x - step / 2;
  const radius = Math.min(step / 2, 8);
  const down = to.y > from.y ? radius : -radius;
  return [
    `M${from.x} ${from.y}`,
    `H${gutter - radius}`,
    `Q${gutter} ${from.y} ${gutter} ${from.y + down}`,
    `V${to.y - down}`,
    `Q${gutter} ${to.y} ${gutter + radius} ${to.y}`,
    `H${to.x}`,
  ].join("");
}
