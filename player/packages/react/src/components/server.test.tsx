import { renderToString } from "react-dom/server";
import { expect, it } from "vitest";
import * as scripted from "../testing/service.ts";
import { RunConsole } from "./RunConsole.tsx";

const payload = Buffer.from("\x1b[31mgiven\x1b[0m screen").toString("base64");

it("is rendered on a server without a window, with the given screen as text", () => {
  expect(typeof window).toBe("undefined");
  const markup = renderToString(
    <RunConsole runId="run-1" nodeRef="a" initialOutput={{ payload, cols: 80, rows: 24, seq: 9 }} />,
  );
  expect(markup).toContain("given screen");
  const known = renderToString(
    <RunConsole
      runId="run-1"
      nodeRef="a"
      initialRun={scripted.run()}
      initialOutput={{ payload, cols: 80, rows: 24, seq: 9, text: "as text" }}
    />,
  );
  expect(known).toContain("as text");
  expect(known).toContain("Running");
});
