// Figures of the page; made only when asked for.
//
//   npm run bench -w runcast-e2e             a minute of output, a recording of two
//   RUNCAST_BENCH_MINUTES=30 npm run bench   the recording that docs/benchmarks.md tells of
import { defineConfig } from "@playwright/test";
import config from "./playwright.config.ts";

export default defineConfig({
  ...config,
  testDir: "bench",
  outputDir: "test-results/bench",
  workers: 1,
  timeout: 45 * 60_000,
  use: { ...config.use, trace: "off", reducedMotion: "no-preference" },
});
