import react from "@vitejs/plugin-react";
import { defaultClientConditions } from "vite";
import { defineConfig } from "vitest/config";

/** The service that `vite` forwards the API to while one works on the page. */
const SERVICE = process.env.RUNCAST_SERVER ?? "http://127.0.0.1:7420";

export default defineConfig({
  plugins: [react()],
  // The package is bundled from its TypeScript: nothing has to be built before.
  resolve: { conditions: ["runcast-source", ...defaultClientConditions], dedupe: ["react", "react-dom"] },
  build: {
    outDir: "dist",
    assetsDir: "assets",
    // Fonts and pictures stay files: the content security policy allows no data in their place.
    assetsInlineLimit: 0,
    target: "es2022",
    // The terminal and the components are what they are; both are loaded once and kept.
    chunkSizeWarningLimit: 800,
    sourcemap: false,
  },
  server: { proxy: { "/api": SERVICE } },
  preview: { proxy: { "/api": SERVICE } },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
