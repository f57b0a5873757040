import type { ErrorBody, ErrorCode } from "./types.ts";

/** A request that did not succeed: refused by the service, or never answered (`status` 0, code `NETWORK`). */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;
  /** Names the request in the service's log. */
  readonly requestId: string | undefined;
  /** Seconds until it makes sense to ask again. */
  readonly retryAfter: number | undefined;

  constructor(
    status: number,
    code: ErrorCode,
    message: string,
    more: {
      details?: Record<string, unknown>;
      requestId?: string;
      retryAfter?: number;
      cause?: unknown;
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause });
    this.status = status;
    this.code = code;
    this.details = more.details ?? {};
    this.requestId = more.requestId;
    this.retryAfter = more.retryAfter;
  }

  /** True if the same request may succeed later. */
  get isRetryable(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  /** Reads the body of a refusal; a proxy's own page becomes a code by its status. */
  static async from(response: Response): Promise<ApiError> {
    const retryAfter = Number.parseFloat(response.headers.get("Retry-After") ?? "");
    const requestId = response.headers.get("X-Request-Id") ?? undefined;
    const more: { details?: Record<string, unknown>; requestId?: string; retryAfter?: number } = {};
    if (Number.isFinite(retryAfter)) more.retryAfter = retryAfter;
    if (requestId !== undefined) more.requestId = requestId;
    try {
      const body = (await response.json()) as ErrorBody;
      more.details = body.error.details as Record<string, unknown>;
      return new ApiError(response.status, body.error.code, body.error.message, more);
    } catch {
      return new ApiError(response.status, codeOf(response.status), `HTTP status ${response.status}`, more);
    }
  }
}

function codeOf(status: number): ErrorCode {
  switch (status) {
    case 401:
      return "UNAUTHENTICATED";
    case 403:
      return "FORBIDDEN";
    case 404:
      return "NOT_FOUND";
    case 410:
      return "GONE";
    case 429:
      return "LIMIT_EXCEEDED";
    case 502:
    case 503:
    case 504:
      return "UNAVAILABLE";
    default:
      return status >= 500 ? "INTERNAL" : "VALIDATION_FAILED";
  }
}
