import { ApiError } from "./error.ts";
import { readLines } from "./linesReader.ts";
import type {
  CastFilters,
  ChunkFilters,
  ChunkPage,
  EventFilters,
  EventPage,
  Line,
  LineFilters,
  Lines,
  OneTerminal,
  OpenedTerminal,
  OpenTerminal,
  RecordingIndex,
  Recordings,
  Run,
  RunChange,
  RunFilters,
  RunPage,
  RunSpec,
  Screen,
  ScreenPlace,
  SessionAnswer,
  StreamName,
  TelemetryEvent,
  TerminalFilters,
  TerminalList,
  TokenAnswer,
  TokenRequest,
  TraceFilters,
  TracePage,
} from "./types.ts";

export interface ClientOptions {
  /** Where the service is, without a slash at the end; empty (default): the page's own origin. */
  baseUrl?: string;
  /** Gives the bearer token, or null for none (a cookie does it then). Asked once, and again after a 401. */
  getToken?: () => string | null | Promise<string | null>;
  /** Instead of the browser's own. */
  fetch?: typeof fetch;
}

export interface RequestOptions {
  signal?: AbortSignal;
}

type QueryValue = string | number | boolean | null | undefined;
type Query = Record<string, QueryValue> | object;

/** The service's HTTP API. Every method throws `ApiError`, or what the signal was aborted with. */
export class RuncastClient {
  readonly #baseUrl: string;
  readonly #getToken: ClientOptions["getToken"];
  readonly #fetch: typeof fetch;
  #token: Promise<string | null> | undefined;

  constructor(options: ClientOptions = {}) {
    this.#baseUrl = (options.baseUrl ?? "").replace(/\/+$/, "");
    this.#getToken = options.getToken;
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** True if requests carry a token, which links cannot. */
  get usesToken(): boolean {
    return this.#getToken !== undefined;
  }

  /** The address of a path below `/api/v1`. */
  url(path: string, query: Query = {}): string {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query) as [string, QueryValue][]) {
      if (value !== undefined && value !== null) search.set(key, String(value));
    }
    const text = search.toString();
    return `${this.#baseUrl}/api/v1${path}${text === "" ? "" : `?${text}`}`;
  }

  /** Asks with the token; a 401 is asked once more with a new one. Any answer is given back, also a refusal. */
  async send(path: string, query: Query = {}, init: RequestInit = {}): Promise<Response> {
    const url = this.url(path, query);
    const token = await this.#currentToken();
    const response = await this.#ask(url, init, token);
    if (response.status !== 401 || this.#getToken === undefined) return response;
    await response.body?.cancel().catch(() => undefined);
    this.#token = undefined;
    return this.#ask(url, init, await this.#currentToken());
  }

  /** Like `send`; a refusal is thrown. */
  async request(path: string, query: Query = {}, init: RequestInit = {}): Promise<Response> {
    const response = await this.send(path, query, init);
    if (response.ok) return response;
    throw await ApiError.from(response);
  }

  runs(filters: RunFilters = {}, options: RequestOptions = {}): Promise<RunPage> {
    return this.#get("/runs", filters, options);
  }
  run(runId: string, options: RequestOptions = {}): Promise<Run> {
    return this.#get(run(runId), {}, options);
  }
  submit(spec: RunSpec, options: RequestOptions = {}): Promise<Run> {
    return this.#post("/runs", spec, options);
  }
  patchRun(runId: string, change: RunChange, options: RequestOptions = {}): Promise<Run> {
    return this.#json("PATCH", run(runId), change, options);
  }
  async cancel(runId: string, options: RequestOptions = {}): Promise<void> {
    await this.request(`${run(runId)}/cancel`, {}, { ...options, method: "POST" });
  }
  /** Removes everything of a finished run for good. */
  async purge(runId: string, options: RequestOptions = {}): Promise<void> {
    await this.request(run(runId), {}, { ...options, method: "DELETE" });
  }
  trace(runId: string, filters: TraceFilters = {}, options: RequestOptions = {}): Promise<TracePage> {
    return this.#get(`${run(runId)}/trace`, filters, options);
  }
  events(runId: string, filters: EventFilters = {}, options: RequestOptions = {}): Promise<EventPage> {
    return this.#get(`${run(runId)}/events`, filters, options);
  }
  recordings(runId: string, options: RequestOptions = {}): Promise<Recordings> {
    return this.#get(`${run(runId)}/recordings`, {}, options);
  }
  chunks(
    runId: string,
    nodeRef: string,
    filters: ChunkFilters = {},
    options: RequestOptions = {},
  ): Promise<ChunkPage> {
    return this.#get(terminal(runId, nodeRef), filters, options);
  }
  /** The screen at a moment, else now; only of nodes with a terminal. */
  screen(
    runId: string,
    nodeRef: string,
    place: ScreenPlace = {},
    options: RequestOptions = {},
  ): Promise<Screen> {
    return this.#get(`${terminal(runId, nodeRef)}/screen`, { ...place, format: "json" }, options);
  }
  lines(
    runId: string,
    nodeRef: string,
    filters: LineFilters = {},
    options: RequestOptions = {},
  ): Promise<Lines> {
    return this.#get(`${terminal(runId, nodeRef)}/lines`, filters, options);
  }
  /** Lines as they arrive: a search over a long recording sends each hit when it is found. */
  async *searchLines(
    runId: string,
    nodeRef: string,
    filters: LineFilters,
    options: RequestOptions = {},
  ): AsyncGenerator<Line, { nextFrom: number; totalLines: number | null }> {
    const response = await this.request(`${terminal(runId, nodeRef)}/lines`, filters, options);
    return yield* readLines(response);
  }
  index(
    runId: string,
    nodeRef: string,
    filters: { stream?: StreamName } = {},
    options: RequestOptions = {},
  ): Promise<RecordingIndex> {
    return this.#get(`${terminal(runId, nodeRef)}/index`, filters, options);
  }
  /**
   * The address of a download: for a link of a page that is logged in by cookie or needs no login, else with a token
   * in it, which should be short-lived: addresses are kept in many places.
   */
  castUrl(runId: string, nodeRef: string, filters: CastFilters = {}, token?: string): string {
    return this.url(`${terminal(runId, nodeRef)}/cast`, { ...filters, access_token: token });
  }
  /** The download itself. */
  cast(
    runId: string,
    nodeRef: string,
    filters: CastFilters = {},
    options: RequestOptions = {},
  ): Promise<Response> {
    return this.request(`${terminal(runId, nodeRef)}/cast`, filters, options);
  }
  async addMarker(
    runId: string,
    nodeRef: string,
    label: string,
    options: RequestOptions = {},
  ): Promise<void> {
    await this.#post(`${terminal(runId, nodeRef)}/markers`, { label }, options);
  }
  /** Interactive terminals, newest first; without a filter those that live. */
  terminals(filters: TerminalFilters = {}, options: RequestOptions = {}): Promise<TerminalList> {
    return this.#get("/terminals", filters, options);
  }
  terminal(sessionId: string, options: RequestOptions = {}): Promise<OneTerminal> {
    return this.#get(sessionPath(sessionId), {}, options);
  }
  /** Opens an interactive terminal, or finds the one of the same project, type, tab and user. */
  openTerminal(wanted: OpenTerminal, options: RequestOptions = {}): Promise<OpenedTerminal> {
    return this.#post("/terminals", wanted, options);
  }
  /** Ends it, and waits until its program has ended. */
  async endTerminal(sessionId: string, options: RequestOptions = {}): Promise<OneTerminal> {
    return read<OneTerminal>(
      await this.request(sessionPath(sessionId), {}, { ...options, method: "DELETE" }),
    );
  }
  /**
   * The address of its WebSocket: `connectionUrl`, as the service told it, or on the page's own origin. A browser
   * cannot send a header with it, so a client with tokens puts a short-lived one into the address.
   */
  async terminalSocketUrl(sessionId: string, query: Query = {}, connectionUrl?: string): Promise<string> {
    const here = new URL(this.url(`${sessionPath(sessionId)}/ws`), globalThis.location?.href);
    const url = connectionUrl === undefined ? here : new URL(connectionUrl);
    url.protocol = url.protocol.replace(/^http/, "ws");
    for (const [key, value] of Object.entries(query) as [string, QueryValue][]) {
      if (value !== undefined && value !== null) url.searchParams.set(key, String(value));
    }
    // The cookie of the page does not reach another instance.
    if (this.usesToken || url.host !== here.host) {
      const token = await this.#socketToken();
      if (token !== undefined) url.searchParams.set("access_token", token);
    }
    return url.href;
  }
  /** Who the caller is; the service answers 401 if it asks for a login. */
  session(options: RequestOptions = {}): Promise<SessionAnswer> {
    return this.#get("/session", {}, options);
  }
  /** Sets the cookie of this page. */
  login(token: string, options: RequestOptions = {}): Promise<SessionAnswer> {
    return this.#post("/session", { token }, options);
  }
  async logout(options: RequestOptions = {}): Promise<void> {
    await this.request("/session", {}, { ...options, method: "DELETE" });
  }
  createToken(request: TokenRequest, options: RequestOptions = {}): Promise<TokenAnswer> {
    return this.#post("/tokens", request, options);
  }
  async telemetry(events: readonly TelemetryEvent[], options: RequestOptions = {}): Promise<void> {
    const body = JSON.stringify({ events });
    const init = { ...options, method: "POST", body, headers: JSON_HEADERS, keepalive: true };
    await this.request("/telemetry", {}, init);
  }

  async #socketToken(): Promise<string | undefined> {
    const caller = await this.session();
    if (caller.mode === "none") return undefined;
    const scopes = caller.scopes.filter((scope) => scope.startsWith("terminals:"));
    return (await this.createToken({ scopes, ttlSecs: SOCKET_TOKEN_SECS })).token;
  }

  async #get<T>(path: string, query: Query, options: RequestOptions): Promise<T> {
    return read<T>(await this.request(path, query, options));
  }
  #post<T>(path: string, body: unknown, options: RequestOptions): Promise<T> {
    return this.#json("POST", path, body, options);
  }
  async #json<T>(method: string, path: string, body: unknown, options: RequestOptions): Promise<T> {
    const init = { ...options, method, body: JSON.stringify(body), headers: JSON_HEADERS };
    return read<T>(await this.request(path, {}, init));
  }

  #currentToken(): Promise<string | null> {
    this.#token ??= this.#newToken();
    return this.#token;
  }

  /** A page that cannot get a token now may get one later. */
  async #newToken(): Promise<string | null> {
    // What fails at once, too, fails after it has been kept.
    await undefined;
    try {
      return (await this.#getToken?.()) ?? null;
    } catch (error) {
      this.#token = undefined;
      if (error instanceof ApiError) throw error;
      throw new ApiError(0, "NETWORK", "there is no token at the moment", { cause: error });
    }
  }

  async #ask(url: string, init: RequestInit, token: string | null): Promise<Response> {
    const headers = new Headers(init.headers);
    if (token !== null) headers.set("Authorization", `Bearer ${token}`);
    try {
      return await this.#fetch(url, { ...init, headers });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new ApiError(0, "NETWORK", "the service could not be reached", { cause: error });
    }
  }
}

/** A connection ends with its token, and comes back with the next one. */
const SOCKET_TOKEN_SECS = 12 * 60 * 60;
const JSON_HEADERS = { "Content-Type": "application/json" };

/** A body that is cut off counts as a network that failed. */
async function read<T>(response: Response): Promise<T> {
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "NETWORK", "the answer was cut off", { cause: error });
  }
}

function run(runId: string): string {
  return `/runs/${encodeURIComponent(runId)}`;
}

function sessionPath(sessionId: string): string {
  return `/terminals/${encodeURIComponent(sessionId)}`;
}

function terminal(runId: string, nodeRef: string): string {
  return `${run(runId)}/terminal/${encodeURIComponent(nodeRef)}`;
}
