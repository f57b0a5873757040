import { useQuery } from "@tanstack/react-query";
import { useState } from "react";

/** Where answers of the administration are kept. */
export const ADMIN_KEY = "admin";

export interface Polled<T> {
  /** The last that was answered. */
  data: T | undefined;
  /** When that came, in milliseconds; 0 before. */
  updatedAt: number;
  /** What went wrong, if the last attempt failed. */
  trouble: unknown;
  /** True while what is shown is of the page before. */
  isLoading: boolean;
}

interface PollingOptions<T> {
  /** What is asked for. */
  key: readonly unknown[];
  /** Of what: an answer of one subject is never shown as one of another. */
  subject: string;
  read: (signal: AbortSignal) => Promise<T>;
  everyMs: number;
  isPaused: boolean;
  isEnabled?: boolean;
}

/**
 * Asks the service again and again, not while the tab is hidden or the page is paused. What was answered stays until
 * there is a newer answer.
 */
export function usePolling<T>(options: PollingOptions<T>): Polled<T> {
  const { key, subject, read, everyMs, isPaused, isEnabled = true } = options;
  const query = useQuery({
    queryKey: [ADMIN_KEY, subject, ...key],
    queryFn: ({ signal }) => read(signal),
    placeholderData: (before, of) => (of?.queryKey[1] === subject ? before : undefined),
    enabled: isEnabled,
    refetchInterval: isPaused ? false : everyMs,
    refetchOnWindowFocus: !isPaused,
    // The next poll is the next attempt, also where the browser thinks that there is no network.
    retry: false,
    networkMode: "always",
  });
  // While a first answer is asked for once more, its error is gone from the query.
  const [lastError, setLastError] = useState<unknown>(null);
  if (query.error !== null && query.error !== lastError) setLastError(query.error);
  const hasFailed = query.errorUpdatedAt > query.dataUpdatedAt;
  return {
    data: query.data,
    updatedAt: query.dataUpdatedAt,
    trouble: hasFailed ? (query.error ?? lastError) : undefined,
    isLoading: query.isPlaceholderData,
  };
}
