// The page in Debian's Chromium, served by the real binary, with real runs.
import { defineConfig, devices } from "@playwright/test";
import { chromium } from "./support/browser.ts";

export default defineConfig({
  testDir: "tests",
  outputDir: "test-results",
  snapshotPathTemplate: "{testDir}/../references/{arg}{ext}",
  fullyParallel: true,
  // Two cores also run the service and its nodes.
  workers: 2,
  forbidOnly: process.env.CI !== undefined,
  // A browser and a service on two busy cores may miss a deadline; what passes only then is told as flaky.
  retries: process.env.CI === undefined ? 0 : 1,
  timeout: 60_000,
  expect: { timeout: 10_000, toHaveScreenshot: { maxDiffPixelRatio: 0.02 } },
  reporter: [["list"]],
  use: {
    ...devices["Desktop Chrome"],
    viewport: { width: 1280, height: 800 },
    colorScheme: "dark",
    reducedMotion: "reduce",
    locale: "en-GB",
    timezoneId: "UTC",
    launchOptions: chromium,
    trace: "retain-on-failure",
    permissions: ["clipboard-read", "clipboard-write"],
  },
});
