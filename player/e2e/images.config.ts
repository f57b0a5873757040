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
    viewport: { width: 1360, height: 850 },
    deviceScaleFactor: 1.5,
    trace: "off",
  },
});
