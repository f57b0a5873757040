import { ApiError } from "../api/error.ts";
import { SilentStreamError } from "./sse.ts";
import type { StreamError } from "./types.ts";

/** Whether the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  return error instanceof SilentStreamError || (error instanceof ApiError && error.isRetryable);
}

export function retryAfterMs(error: unknown): number {
  return error instanceof ApiError && error.retryAfter !== undefined ? error.retryAfter * 1_000 : 0;
}

/** A connection that ended before it should. */
export function cut(): ApiError {
  return new ApiError(0, "NETWORK", "the stream was cut");
}

/** What an `error` event says, as if it had been an answer. */
export function streamError(data: unknown): ApiError {
  const { code, message, retryable } = data as {
    code: ApiError["code"];
    message: string;
    retryable: boolean;
  };
  return new ApiError(retryable ? 503 : 400, code, message);
}

/** What a page is told of a failure. */
export function asStreamError(error: unknown): StreamError {
  if (error instanceof SilentStreamError) {
    return { code: "NETWORK", message: "the stream does not get through", retryable: true };
  }
  if (error instanceof ApiError) {
    return { code: error.code, message: error.message, retryable: error.isRetryable };
  }
  return {
    code: "INTERNAL",
    message: error instanceof Error ? error.message : String(error),
    retryable: false,
  };
}
