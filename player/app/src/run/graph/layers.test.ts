import { describe, expect, it } from "vitest";
import { layersOf, layoutGraph } from "./layers";

const SIZES = { nodeWidth: 100, nodeHeight: 40, layerGap: 50, rowGap: 10, mostRows: 10 };
const node = (ref: string, ...dependsOn: string[]) => ({ ref, dependsOn });

describe("layersOf", () => {
  it("puts a node behind the deepest of what it waits for", () => {
    const layers = layersOf([node("c", "a", "b"), node("b", "a"), node("a"), node("lonely")]);
    expect(Object.fromEntries(layers)).toEqual({ a: 0, b: 1, c: 2, lonely: 0 });
  });

  it("ignores what does not exist and comes to an end on a cycle", () => {
    expect(layersOf([node("a", "missing")]).get("a")).toBe(0);
    expect(layersOf([node("a", "b"), node("b", "a")]).size).toBe(2);
  });
});

describe("layoutGraph", () => {
  it("centres layers and gives the size of the whole", () => {
    const layout = layoutGraph([node("a"), node("b", "a"), node("c", "a")], SIZES);
    expect([layout.width, layout.height]).toEqual([250, 90]);
    expect(layout.nodes).toEqual([
      { ref: "a", layer: 0, x: 0, y: 25 },
      { ref: "b", layer: 1, x: 150, y: 0 },
      { ref: "c", layer: 1, x: 150, y: 50 },
    ]);
    expect(layout.edges.map((edge) => edge.path)).toEqual([
      "M100 45C125 45 125 20 150 20",
      "M100 45C125 45 125 70 150 70",
    ]);
  });

  it("takes crossings out", () => {
    const layout = layoutGraph([node("a"), node("b"), node("under-b", "b"), node("under-a", "a")], SIZES);
    const yOf = (ref: string) => layout.nodes.find((placed) => placed.ref === ref)?.y;
    expect(yOf("under-a")).toBe(yOf("a"));
    expect(yOf("under-b")).toBe(yOf("b"));
  });

  it("leads a long edge past the nodes between", () => {
    const layout = layoutGraph([node("a"), node("b", "a"), node("c", "b", "a")], SIZES);
    const between = layout.nodes.find((placed) => placed.ref === "b");
    const long = layout.edges.find((edge) => edge.from === "a" && edge.to === "c");
    const passes = Number(/ (\d+(?:\.\d+)?)H/.exec(long?.path ?? "")?.[1]);
    expect(between && (passes < between.y || passes > between.y + SIZES.nodeHeight)).toBe(true);
  });

  it("gives a layer with many nodes several columns", () => {
    const shards = Array.from({ length: 25 }, (_, index) => node(`shard-${index}`, "start"));
    const layout = layoutGraph(
      [node("start"), ...shards, node("merge", ...shards.map(({ ref }) => ref))],
      SIZES,
    );
    expect(layout.height).toBe(9 * 40 + 8 * 10);
    expect(new Set(layout.nodes.map(({ x }) => x))).toEqual(new Set([0, 150, 260, 370, 520]));
    expect(layout.width).toBe(620);
    expect(layout.frames).toEqual([{ x: 138, y: -12, width: 344, height: 464 }]);
    expect(layout.edges.every((edge) => edge.isBundled)).toBe(true);
    expect(layout.bundles).toEqual(["M100 220C119 220 119 220 138 220", "M482 220C501 220 501 220 520 220"]);
  });

  it("draws nothing for nothing", () => {
    expect(layoutGraph([], SIZES)).toEqual({
      width: 0,
      height: 0,
      nodes: [],
      edges: [],
      frames: [],
      bundles: [],
    });
  });
});
