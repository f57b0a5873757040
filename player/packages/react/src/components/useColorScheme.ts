import { useSyncExternalStore } from "react";

export type Theme = "dark" | "light" | "auto";

const QUERY = "(prefers-color-scheme: light)";

function subscribe(listener: () => void): () => void {
  const query = globalThis.matchMedia?.(QUERY);
  query?.addEventListener("change", listener);
  return () => query?.removeEventListener("change", listener);
}

/** `auto` follows the system; dark where there is none, as on a server. */
export function useColorScheme(theme: Theme): "dark" | "light" {
  const isLight = useSyncExternalStore(
    subscribe,
    () => globalThis.matchMedia?.(QUERY).matches ?? false,
    () => false,
  );
  if (theme !== "auto") return theme;
  return isLight ? "light" : "dark";
}
