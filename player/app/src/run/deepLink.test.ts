import { describe, expect, it } from "vitest";
import { formatDeepLink, parseDeepLink } from "./deepLink";

describe("deep links", () => {
  it.each([
    ["/runs/nightly-42", { runId: "nightly-42" }],
    ["/runs/a/nodes/build", { runId: "a", nodeRef: "build" }],
    ["/runs/a/nodes/build?t=83.2", { runId: "a", nodeRef: "build", atMs: 83_200 }],
    ["/runs/a/nodes/tests?t=0&stream=stderr", { runId: "a", nodeRef: "tests", atMs: 0, stream: "stderr" }],
  ] as const)("%s reads as it was written", (address, link) => {
    const [path = "", search = ""] = address.split("?");
    expect(parseDeepLink(path, search)).toEqual(link);
    expect(formatDeepLink(link)).toBe(address);
  });

  it("ignores what makes no sense", () => {
    expect(parseDeepLink("/runs/a/nodes/b", "?t=-3&stream=../x")).toEqual({ runId: "a", nodeRef: "b" });
    expect(parseDeepLink("/runs/a/nodes/b", "?t=1e9")).toEqual({ runId: "a", nodeRef: "b" });
    expect(parseDeepLink("/", "")).toBeUndefined();
    expect(parseDeepLink("/runs/%E0%A4%A", "")).toBeUndefined();
  });

  it("writes whole milliseconds", () => {
    expect(formatDeepLink({ runId: "a", nodeRef: "b", atMs: 1234.5678 })).toBe("/runs/a/nodes/b?t=1.235");
  });
});
