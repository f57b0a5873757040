import { ApiError } from "../api/error.ts";

/** How long an answer that the service gives at once may take. */
export const ANSWER_TIMEOUT_MS = 10_000;

/** Asks with a time limit; an answer that is too late counts as a network that failed. */
export async function within<T>(
  timeoutMs: number,
  outer: AbortSignal,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await ask(AbortSignal.any([outer, late.signal]));
  } catch (error) {
    if (!late.signal.aborted || outer.aborted) throw error;
    throw new ApiError(0, "NETWORK", "the service did not answer in time", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
