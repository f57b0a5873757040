import react from "@vitejs/plugin-react";
import { defaultClientConditions, defaultServerConditions } from "vite";
import { defineConfig } from "vitest/config";

/** The service that `vite` forwards the API to while one works on the page. */
const SERVICE = process.env.RUNCAST_SERVER ?? "http://127.0.0.1:7420";
/** The browser's own host goes on: the service asks of WebSockets whether they come from its own pages. */
const PROXY = { "/api": { target: SERVICE, ws: true } };

export default defineConfig({
  plugins: [react()],
  // The package is bundled from its TypeScript: nothing has to be built before.
  resolve: { conditions: ["runcast-source", ...defaultClientConditions], dedupe: ["react", "react-dom"] },
  // Tests run in Node.
  ssr: { resolve: { conditions: ["runcast-source", ...defaultServerConditions] } },
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
  server: { proxy: PROXY },
  preview: { proxy: PROXY },
  test: { environment: "node", include: ["src/**/*.test.ts"] },
});
