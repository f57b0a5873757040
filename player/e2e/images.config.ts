// The pictures of docs/images; not tests, so they are made only when asked for.
import { defineConfig } from "@playwright/test";
import config from "./playwright.config.ts";

export default defineConfig({
  ...config,
  testDir: "images",
  outputDir: "test-results/images",
  workers: 1,
  timeout: 120_000,
  use: {
    ...config.use,
    viewport: { width: 1280, height: 800 },
    // A whole factor: else there are seams between the cells of a terminal.
    deviceScaleFactor: 2,
    trace: "off",
  },
});
