import { Button } from "@mantine/core";
import { useEffect, useMemo, useState } from "react";
import { useLocation, useSearch } from "wouter";
import { plural } from "../format/format";
import { messageOf } from "../service";
import { Banner } from "../shell/Banner";
import { TopBar } from "../shell/TopBar";
import { EmptyRuns } from "./EmptyRuns";
import { formatFilters, hasFilters, NO_FILTERS, parseFilters, type RunFilters } from "./filters";
import { RunFilterBar } from "./RunFilterBar";
import { RunRow } from "./RunRow";
import classes from "./runs.module.css";
import { useRuns } from "./useRuns";

const STEP = 50;
/** The most the service gives in one page. */
const MOST = 1_000;

/** All runs, newest first. */
export function RunsPage() {
  const search = useSearch();
  const [, navigate] = useLocation();
  const filters = useMemo(() => parseFilters(search), [search]);
  const [limit, setLimit] = useState(STEP);
  const runs = useRuns(filters, limit);
  useEffect(() => {
    document.title = "Runs · Runcast";
  }, []);

  const change = (next: RunFilters) => {
    const query = formatFilters(next);
    setLimit(STEP);
    navigate(query === "" ? "/" : `/?${query}`, { replace: true });
  };

  const shown = runs.data?.runs ?? [];
  const hasMore = runs.data?.nextCursor != null;
  return (
    <>
      <TopBar />
      <main id="main" className={classes.page} tabIndex={-1}>
        <div className={classes.head}>
          <h1 className={classes.title}>Runs</h1>
          <RunFilterBar filters={filters} onChange={change} />
        </div>
        {runs.isError && (
          <div className={classes.error}>
            <Banner action="Try again" onAction={() => runs.refetch()}>
              {messageOf(runs.error)}
            </Banner>
          </div>
        )}
        {runs.isSuccess && shown.length === 0 && (
          <EmptyRuns isFiltered={hasFilters(filters)} onReset={() => change(NO_FILTERS)} />
        )}
        {shown.length > 0 && (
          <div className={classes.table} aria-busy={runs.isPlaceholderData}>
            <div className={classes.columns} aria-hidden="true">
              <span>Status</span>
              <span>Run</span>
              <span>Workflow and labels</span>
              <span>Progress</span>
              <span>Created</span>
              <span className={classes.right}>Duration</span>
            </div>
            <ul className={classes.list} aria-label="Runs">
              {shown.map((run) => (
                <RunRow key={run.runId} run={run} filters={filters} onFilter={change} />
              ))}
            </ul>
          </div>
        )}
        {shown.length > 0 && (
          <footer className={classes.foot}>
            <span>{plural(shown.length, "run")}</span>
            {hasMore && limit < MOST && (
              <Button
                loading={runs.isPlaceholderData}
                onClick={() => setLimit((before) => Math.min(MOST, before + Math.max(STEP, before)))}
              >
                Load more
              </Button>
            )}
            {hasMore && limit >= MOST && <span>Narrow the filters to see older runs.</span>}
          </footer>
        )}
      </main>
    </>
  );
}
