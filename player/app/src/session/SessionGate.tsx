import { ApiError, type SessionAnswer } from "@runcast/react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { createContext, type ReactNode, useContext, useEffect } from "react";
import { client, isUnauthenticated, messageOf, signedOut } from "../service";
import { Notice } from "../shell/Notice";
import { LoginPage } from "./LoginPage";

const SessionContext = createContext<SessionAnswer | undefined>(undefined);
const SESSION_KEY = ["session"];

/** Who is here. */
export function useSession(): SessionAnswer | undefined {
  return useContext(SessionContext);
}

/** True if the caller has this scope. */
export function useScope(scope: SessionAnswer["scopes"][number]): boolean {
  return useSession()?.scopes.includes(scope) ?? false;
}

/** True if the caller may change runs. */
export function useMayWrite(): boolean {
  return useScope("runs:write");
}

/** Shows the page to those whom the service knows, the login to all others. */
export function SessionGate({ children }: { children: ReactNode }) {
  const cache = useQueryClient();
  const session = useQuery({
    queryKey: SESSION_KEY,
    queryFn: ({ signal }) => askSession(signal),
    staleTime: Number.POSITIVE_INFINITY,
  });
  useEffect(() => {
    const forget = () => cache.setQueryData(SESSION_KEY, null);
    signedOut.addEventListener("signedout", forget);
    return () => signedOut.removeEventListener("signedout", forget);
  }, [cache]);

  if (session.isPending) return null;
  if (session.isError) {
    return (
      <Notice title="No answer from the service" action="Try again" onAction={() => session.refetch()}>
        {messageOf(session.error)}
      </Notice>
    );
  }
  if (session.data === null) {
    return <LoginPage onLogin={(answer) => cache.setQueryData(SESSION_KEY, answer)} />;
  }
  return <SessionContext value={session.data}>{children}</SessionContext>;
}

/** Removes the cookie and everything that was read with it. */
export function useLogout(): () => Promise<void> {
  const cache = useQueryClient();
  return async () => {
    await client.logout();
    cache.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION_KEY[0] });
    cache.setQueryData(SESSION_KEY, null);
  };
}

async function askSession(signal: AbortSignal): Promise<SessionAnswer | null> {
  try {
    return await client.session({ signal });
  } catch (error) {
    if (isUnauthenticated(error)) return null;
    if (error instanceof ApiError && error.status === 403) return null;
    throw error;
  }
}
