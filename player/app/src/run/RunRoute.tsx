import { useMemo } from "react";
import { useLocation, useSearch } from "wouter";
import { NotFound } from "../shell/NotFound";
import { parseDeepLink } from "./deepLink";
import { RunPage } from "./RunPage";

/** All addresses of a run are one page, which stays while its node and moment change. */
export default function RunRoute() {
  const [path] = useLocation();
  const search = useSearch();
  const link = useMemo(() => parseDeepLink(path, search), [path, search]);
  if (!link) return <NotFound />;
  return <RunPage key={link.runId} link={link} />;
}
