import type { TerminalList } from "@runcast/react";
import { type UseQueryResult, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { client } from "../service";

/** How often the list is asked for while the page is visible. */
const POLL_MS = 3_000;
const KEY = ["terminals"];

/** The interactive terminals that live. */
export function useTerminals(enabled: boolean): UseQueryResult<TerminalList> {
  return useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => client.terminals({}, { signal }),
    refetchInterval: POLL_MS,
    enabled,
  });
}

/** Opens a terminal, or finds the one of this tab. */
export function useOpenTerminal(project: string) {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: ({ type, tabName }: { type: string; tabName: string }) =>
      client.openTerminal({ projectId: project, type, tabName }),
    onSuccess: ({ session, connectionUrl }) => {
      cache.setQueryData<TerminalList>(KEY, (list) => {
        if (list === undefined || list.sessions.some((known) => known.id === session.id)) return list;
        return { ...list, sessions: [{ ...session, connectionUrl }, ...list.sessions] };
      });
    },
    onSettled: () => cache.invalidateQueries({ queryKey: KEY }),
  });
}

/** Ends a terminal. */
export function useEndTerminal() {
  const cache = useQueryClient();
  return useMutation({
    mutationFn: (sessionId: string) => client.endTerminal(sessionId),
    onSettled: () => cache.invalidateQueries({ queryKey: KEY }),
  });
}
