import type { IncomingMessage, ServerResponse } from "node:http";
import { defineConfig } from "vite";

const SERVICE = process.env.RUNCAST_SERVER ?? "http://127.0.0.1:7420";
/** Stays here. Browsers get tokens that open one run, for reading, for ten minutes. */
const TOKEN = process.env.RUNCAST_TOKEN ?? "";

/** The backend of the page: a real one would first ask who is logged in, and whether they may see this run. */
async function giveToken(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const runId = new URL(request.url ?? "", "http://page").searchParams.get("run");
  const answer = await fetch(`${SERVICE}/api/v1/tokens`, {
    method: "POST",
    headers: { Authorization: `Bearer ${TOKEN}`, "Content-Type": "application/json" },
    body: JSON.stringify({ runId, scopes: ["runs:read", "terminals:read"], ttlSecs: 600 }),
  });
  const body = (await answer.json()) as { token?: string; error?: { message: string } };
  response.statusCode = answer.status;
  response.end(body.token ?? body.error?.message);
}

export default defineConfig({
  server: { port: 5180 },
  plugins: [
    {
      name: "token",
      configureServer(server) {
        server.middlewares.use("/token", (request, response) => {
          giveToken(request, response).catch((error: unknown) => {
            response.statusCode = 502;
            response.end(String(error));
          });
        });
      },
    },
  ],
});
