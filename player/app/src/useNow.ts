import { useSyncExternalStore } from "react";

/** One clock for all that count seconds: it ticks once a second, and only while somebody looks. */
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;
let now = Date.now();

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= setInterval(() => {
    if (document.visibilityState === "hidden") return;
    now = Date.now();
    for (const each of listeners) each();
  }, 1000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

function read(): number {
  // Two reads of one moment must be the same.
  if (listeners.size === 0 && Date.now() - now >= 1000) now = Date.now();
  return now;
}

/** Milliseconds since 1970, anew every second. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, read, read);
}
