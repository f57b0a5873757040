import { describe, expect, it } from "vitest";
import {
  filterQuery,
  formatFilters,
  hasFilters,
  isLabel,
  NO_FILTERS,
  parseFilters,
  toggled,
} from "./filters";

describe("filters of the list", () => {
  it("read as they were written", () => {
    const filters = {
      statuses: ["RUNNING", "FAILED"],
      workflowId: "nightly scan",
      labels: ["team:sec", "kind:a&b"],
    } as const;
    const search = formatFilters(filters);
    expect(search).toBe("status=RUNNING,FAILED&workflow=nightly+scan&label=team:sec&label=kind:a%26b");
    expect(parseFilters(`?${search}`)).toEqual(filters);
  });

  it("ignore what the service would refuse", () => {
    expect(parseFilters("?status=BOGUS,FAILED&label=nonsense&x=1")).toEqual({
      ...NO_FILTERS,
      statuses: ["FAILED"],
    });
    expect(parseFilters("")).toEqual(NO_FILTERS);
    expect(hasFilters(NO_FILTERS)).toBe(false);
  });

  it("become parameters of the service", () => {
    const query = filterQuery({ statuses: ["QUEUED"], workflowId: "demo", labels: ["a:1", "b:2"] }, 50);
    expect(query.toString()).toBe("limit=50&status=QUEUED&workflowId=demo&label=a%3A1&label=b%3A2");
  });

  it("know a label", () => {
    expect(["team:sec", "url:http://x"].every(isLabel)).toBe(true);
    expect(["team", ":sec", "team:", " : "].some(isLabel)).toBe(false);
  });

  it("toggle", () => {
    expect(toggled(["a"], "b")).toEqual(["a", "b"]);
    expect(toggled(["a", "b"], "a")).toEqual(["b"]);
  });
});
