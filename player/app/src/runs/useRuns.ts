import { ApiError, type RunPage } from "@runcast/react";
import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { useRef } from "react";
import { client } from "../service";
import { filterQuery, type RunFilters } from "./filters";

/** How often the list is asked for while the page is visible. */
const POLL_MS = 2_000;

interface Known {
  query: string;
  etag: string;
  page: RunPage;
}

/**
 * The newest `limit` runs that pass. All of them are asked for again and again, so that older ones are as
 * true as the first; an answer that has not changed is not sent again.
 */
export function useRuns(filters: RunFilters, limit: number): UseQueryResult<RunPage> {
  const known = useRef<Known>(undefined);
  const query = filterQuery(filters, limit).toString();
  return useQuery({
    queryKey: ["runs", query],
    queryFn: async ({ signal }) => {
      const before = known.current?.query === query ? known.current : undefined;
      const headers: Record<string, string> = before ? { "If-None-Match": before.etag } : {};
      const response = await client.send(`/runs?${query}`, {}, { signal, headers });
      if (response.status === 304 && before) return before.page;
      if (!response.ok) throw await ApiError.from(response);
      const page = (await response.json()) as RunPage;
      const etag = response.headers.get("ETag");
      known.current = etag === null ? undefined : { query, etag, page };
      return page;
    },
    placeholderData: keepPreviousData,
    refetchInterval: POLL_MS,
  });
}
