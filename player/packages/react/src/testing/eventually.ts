import { vi } from "vitest";
import { WAIT_MS } from "./setup.ts";

/** Waits until the expectation holds. */
export function eventually<T>(expectation: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(expectation, { timeout: WAIT_MS, interval: 10 });
}
