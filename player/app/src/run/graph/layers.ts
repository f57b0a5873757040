/**
 * The layered drawing of a run's graph: longest-path layers, an invisible place in every layer that
 * an edge passes, and barycentre sweeps to take crossings out (Sugiyama's method, small).
 */

/** What is drawn: a node and what it waits for. */
export interface GraphInput {
  readonly ref: string;
  readonly dependsOn: readonly string[];
}

/** A node with its place: the layer from 0, and its place in the layer from 0. */
export interface PlacedNode {
  readonly ref: string;
  readonly layer: number;
  readonly x: number;
  readonly y: number;
}

/** An edge as the path of an SVG. */
export interface PlacedEdge {
  readonly from: string;
  readonly to: string;
  readonly path: string;
  /** It begins or ends in a frame and is drawn only on demand: the bundle stands for it. */
  readonly isBundled: boolean;
}

/** A layer that takes several columns. Edges lead to its frame instead of through its nodes. */
export interface Frame {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface GraphLayout {
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly PlacedNode[];
  readonly edges: readonly PlacedEdge[];
  readonly frames: readonly Frame[];
  /** Paths of the edges of frames, each once. */
  readonly bundles: readonly string[];
}

/** Sizes in CSS pixels. */
export interface GraphSizes {
  readonly nodeWidth: number;
  readonly nodeHeight: number;
  readonly layerGap: number;
  readonly rowGap: number;
  /** A layer with more nodes takes several columns. */
  readonly mostRows: number;
}

interface Cell {
  readonly key: string;
  readonly ref?: string;
  readonly layer: number;
  readonly before: Cell[];
  readonly after: Cell[];
  order: number;
}

const SWEEPS = 6;

/** The layer of each node: one more than the deepest of what it waits for. */
export function layersOf(nodes: readonly GraphInput[]): Map<string, number> {
  const byRef = new Map(nodes.map((node) => [node.ref, node]));
  const layers = new Map<string, number>();
  const layerOf = (node: GraphInput, path: ReadonlySet<string>): number => {
    const known = layers.get(node.ref);
    if (known !== undefined) return known;
    let layer = 0;
    const deeper = new Set(path).add(node.ref);
    for (const dependency of node.dependsOn) {
      const before = byRef.get(dependency);
      // The service refuses cycles; a picture of one must still come to an end.
      if (before && !deeper.has(dependency)) layer = Math.max(layer, layerOf(before, deeper) + 1);
    }
    layers.set(node.ref, layer);
    return layer;
  };
  for (const node of nodes) layerOf(node, new Set());
  return layers;
}

/** Places all nodes and draws all edges. */
export function layoutGraph(nodes: readonly GraphInput[], sizes: GraphSizes): GraphLayout {
  const layers = layersOf(nodes);
  const { rows, chains } = cellsOf(nodes, layers);
  removeCrossings(rows);
  const layersOfColumns = rows.map((row) => columnsOf(row, sizes.mostRows));
  const tallest = Math.max(0, ...layersOfColumns.flat().map((column) => columnHeight(column, sizes)));
  const places = new Map<Cell, { x: number; y: number }>();
  const frames = new Map<number, Frame>();
  let x = 0;
  let width = 0;
  layersOfColumns.forEach((columns, layer) => {
    const start = x;
    for (const column of columns) {
      let y = (tallest - columnHeight(column, sizes)) / 2;
      for (const cell of column) {
        places.set(cell, { x, y });
        y += cellHeight(cell, sizes) + sizes.rowGap;
      }
      width = x + sizes.nodeWidth;
      x = width + sizes.rowGap;
    }
    x = width + sizes.layerGap;
    if (columns.length > 1) frames.set(layer, frameAround(start, width, tallest));
  });
  const placed: PlacedNode[] = [];
  for (const [cell, place] of places) {
    if (cell.ref !== undefined) placed.push({ ref: cell.ref, layer: cell.layer, ...place });
  }
  const edges: PlacedEdge[] = [];
  const bundles = new Set<string>();
  for (const { from, to, cells } of chains) {
    const isBundled = cells.some((cell) => frames.has(cell.layer));
    edges.push({ from, to, path: pathOf(cells, places, sizes), isBundled });
    if (isBundled) bundles.add(bundleOf(cells, places, frames, sizes));
  }
  return {
    width,
    height: tallest,
    nodes: placed,
    edges,
    frames: [...frames.values()],
    bundles: [...bundles],
  };
}

const FRAME_MARGIN = 12;

function frameAround(start: number, end: number, height: number): Frame {
  return {
    x: start - FRAME_MARGIN,
    y: -FRAME_MARGIN,
    width: end - start + 2 * FRAME_MARGIN,
    height: height + 2 * FRAME_MARGIN,
  };
}

/** From the first to the last of a chain, from and to the middle of a side. */
function bundleOf(
  cells: readonly Cell[],
  places: ReadonlyMap<Cell, { x: number; y: number }>,
  frames: ReadonlyMap<number, Frame>,
  sizes: GraphSizes,
): string {
  const side = (cell: Cell | undefined, isRight: boolean): [number, number] => {
    const frame = cell && frames.get(cell.layer);
    if (frame) return [frame.x + (isRight ? frame.width : 0), frame.y + frame.height / 2];
    const place = (cell && places.get(cell)) ?? { x: 0, y: 0 };
    return [place.x + (isRight ? sizes.nodeWidth : 0), place.y + sizes.nodeHeight / 2];
  };
  const [fromX, fromY] = side(cells[0], true);
  const [toX, toY] = side(cells.at(-1), false);
  const middle = (fromX + toX) / 2;
  return `M${fromX} ${fromY}C${middle} ${fromY} ${middle} ${toY} ${toX} ${toY}`;
}

interface Chain {
  readonly from: string;
  readonly to: string;
  readonly cells: readonly Cell[];
}

function cellsOf(
  nodes: readonly GraphInput[],
  layers: ReadonlyMap<string, number>,
): { rows: Cell[][]; chains: Chain[] } {
  const rows: Cell[][] = [];
  const add = (key: string, layer: number, ref?: string): Cell => {
    while (rows.length <= layer) rows.push([]);
    const row = rows[layer] ?? [];
    const cell: Cell = {
      key,
      layer,
      before: [],
      after: [],
      order: row.length,
      ...(ref !== undefined && { ref }),
    };
    row.push(cell);
    return cell;
  };
  const cells = new Map(nodes.map((node) => [node.ref, add(node.ref, layers.get(node.ref) ?? 0, node.ref)]));
  const chains: Chain[] = [];
  for (const node of nodes) {
    for (const dependency of node.dependsOn) {
      const start = cells.get(dependency);
      const end = cells.get(node.ref);
      if (!start || !end || start.layer >= end.layer) continue;
      const chain = [start];
      for (let layer = start.layer + 1; layer < end.layer; layer += 1) {
        chain.push(add(`${dependency} ${node.ref} ${layer}`, layer));
      }
      chain.push(end);
      chain.forEach((cell, index) => {
        const next = chain[index + 1];
        if (!next) return;
        cell.after.push(next);
        next.before.push(cell);
      });
      chains.push({ from: dependency, to: node.ref, cells: chain });
    }
  }
  return { rows, chains };
}

function removeCrossings(rows: Cell[][]): void {
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const row of forward ? rows : [...rows].reverse()) {
      const weights = new Map(row.map((cell) => [cell, weightOf(cell, forward ? cell.before : cell.after)]));
      row.sort((left, right) => (weights.get(left) ?? 0) - (weights.get(right) ?? 0));
      row.forEach((cell, order) => {
        cell.order = order;
      });
    }
  }
}

function weightOf(cell: Cell, neighbours: readonly Cell[]): number {
  if (neighbours.length === 0) return cell.order;
  return neighbours.reduce((sum, neighbour) => sum + neighbour.order, 0) / neighbours.length;
}

function cellHeight(cell: Cell, sizes: GraphSizes): number {
  return cell.ref === undefined ? 0 : sizes.nodeHeight;
}

function columnHeight(column: readonly Cell[], sizes: GraphSizes): number {
  const cells = column.reduce((sum, cell) => sum + cellHeight(cell, sizes), 0);
  return cells + Math.max(0, column.length - 1) * sizes.rowGap;
}

/** A layer cut into columns of nearly the same height. */
function columnsOf(row: readonly Cell[], mostRows: number): Cell[][] {
  const count = Math.max(1, Math.ceil(row.length / mostRows));
  const height = Math.ceil(row.length / count);
  return Array.from({ length: count }, (_, column) => row.slice(column * height, (column + 1) * height));
}

function pathOf(
  cells: readonly Cell[],
  places: ReadonlyMap<Cell, { x: number; y: number }>,
  sizes: GraphSizes,
): string {
  const parts: string[] = [];
  cells.forEach((cell, index) => {
    const place = places.get(cell);
    if (!place) return;
    const y = place.y + cellHeight(cell, sizes) / 2;
    const end = place.x + sizes.nodeWidth;
    if (index === 0) {
      parts.push(`M${end} ${y}`);
      return;
    }
    const middle = place.x - sizes.layerGap / 2;
    const previous = places.get(cells[index - 1] ?? cell);
    const previousY = previous ? previous.y + cellHeight(cells[index - 1] ?? cell, sizes) / 2 : y;
    parts.push(`C${middle} ${previousY} ${middle} ${y} ${place.x} ${y}`);
    if (cell.ref === undefined) parts.push(`H${end}`);
  });
  return parts.join("");
}
