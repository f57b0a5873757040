import type { Line } from "@runcast/react";
import { useEffect, useState } from "react";
import { client, messageOf } from "../../service";
import type { StreamName } from "../deepLink";

/** The most hits that are kept; the count says that there are more. */
export const MOST_HITS = 1_000;
/** Keys that follow each other faster than this are one search. */
const WAIT_MS = 200;
const DRAW_EVERY_MS = 100;

export interface SearchQuery {
  readonly text: string;
  readonly isRegex: boolean;
}

export interface SearchResult {
  readonly hits: readonly Line[];
  readonly isSearching: boolean;
  /** True if the search stopped at the most that is kept. */
  readonly hasMore: boolean;
  readonly error?: string;
}

const NOTHING: SearchResult = { hits: [], isSearching: false, hasMore: false };

/** Searches the whole output of a node; hits come as they are found. A new query ends the one before. */
export function useSearch(
  runId: string,
  nodeRef: string,
  stream: StreamName | undefined,
  { text, isRegex }: SearchQuery,
): SearchResult {
  const [result, setResult] = useState(NOTHING);
  useEffect(() => {
    setResult({ ...NOTHING, isSearching: text !== "" });
    if (text === "") return;
    const abort = new AbortController();
    const hits: Line[] = [];
    let drawn = 0;
    const search = async () => {
      const filters = { q: text, regex: isRegex, limit: MOST_HITS, ...(stream !== undefined && { stream }) };
      try {
        for await (const hit of client.searchLines(runId, nodeRef, filters, { signal: abort.signal })) {
          hits.push(hit);
          if (performance.now() - drawn < DRAW_EVERY_MS) continue;
          drawn = performance.now();
          setResult({ hits: [...hits], isSearching: true, hasMore: false });
        }
        setResult({ hits, isSearching: false, hasMore: hits.length >= MOST_HITS });
      } catch (error) {
        if (abort.signal.aborted) return;
        setResult({ hits, isSearching: false, hasMore: false, error: messageOf(error) });
      }
    };
    const timer = setTimeout(search, WAIT_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [runId, nodeRef, stream, text, isRegex]);
  return result;
}
