import { useAdmin } from "./AdminContext";
import type { Asked } from "./requests";
import { type Polled, usePolling } from "./usePolling";

/** How often it is asked while the page is visible. */
export const POLL_MS = 3_000;

interface PollOptions<T> {
  key: readonly unknown[];
  read: (asked: Asked) => Promise<T>;
  everyMs?: number;
}

/** What the instance that is shown tells, again and again. */
export function usePoll<T>({ key, read, everyMs = POLL_MS }: PollOptions<T>): Polled<T> {
  const { asked, instance, isReady, isPaused } = useAdmin();
  return usePolling({
    key,
    subject: instance,
    read: (signal) => read({ instance: asked, signal }),
    everyMs,
    isPaused,
    isEnabled: isReady,
  });
}
