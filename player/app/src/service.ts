/** The one client of the page, and what counts its use. */
import { ApiError, RuncastClient } from "@runcast/react";
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { Telemetry } from "./telemetry/telemetry";

/** Same origin, logged in by cookie. */
export const client = new RuncastClient();

export const telemetry = new Telemetry((events) => client.telemetry(events));

/** Called when the service no longer knows who this is. */
export const signedOut = new EventTarget();

export function isUnauthenticated(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}

export const queries = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      if (isUnauthenticated(error)) signedOut.dispatchEvent(new Event("signedout"));
    },
  }),
  defaultOptions: {
    queries: {
      staleTime: 1_000,
      retry: (failures, error) => failures < 2 && (!(error instanceof ApiError) || error.isRetryable),
    },
  },
});

/** What an error says to people. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.status === 0) return "The service cannot be reached.";
  return error instanceof Error ? error.message : String(error);
}
