import { describe, expect, it } from "vitest";
import { inLayers, railsOf } from "./rails";

const node = (ref: string, ...dependsOn: string[]) => ({ ref, dependsOn });

describe("inLayers", () => {
  it("keeps the order of the document inside a layer", () => {
    const ordered = inLayers([node("last", "b", "c"), node("c", "a"), node("a"), node("b", "a")]);
    expect(ordered.map((entry) => entry.ref)).toEqual(["a", "c", "b", "last"]);
  });
});

describe("railsOf", () => {
  it("puts dots into the column of their layer", () => {
    const rails = railsOf([node("a"), node("b", "a")], 40);
    expect(rails.dots.map(({ x, y }) => [x, y])).toEqual([
      [14, 20],
      [38, 60],
    ]);
    expect(rails.edges).toEqual([{ from: "a", to: "b", path: "M14 20H18Q26 20 26 28V52Q26 60 34 60H38" }]);
  });

  it("stays narrow however deep the graph is", () => {
    const chain = Array.from({ length: 60 }, (_, index) =>
      index === 0 ? node("n0") : node(`n${index}`, `n${index - 1}`),
    );
    expect(railsOf(chain, 40).width).toBeLessThanOrEqual(148);
  });

  it("needs next to no room without edges", () => {
    expect(railsOf([node("a"), node("b")], 40)).toMatchObject({ width: 28, edges: [] });
  });
});
