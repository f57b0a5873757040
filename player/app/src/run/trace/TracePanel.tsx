import { Button, Select } from "@mantine/core";
import type { TraceEvent, TraceLevel } from "@runcast/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronDown, ChevronUp, Info, OctagonX, ScanSearch, TriangleAlert } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { formatClock, formatMoment, plural } from "../../format/format";
import { Prose } from "../../format/Prose";
import type { WholeRun } from "../wholeRun";
import classes from "./trace.module.css";
import { LEVELS, momentOf, passes, type TraceFilter } from "./traceFilter";
import type { Trace } from "./useTrace";

interface TracePanelProps {
  run: WholeRun;
  trace: Trace;
  isOpen: boolean;
  onToggle: () => void;
  onShow: (nodeRef: string, atMs?: number) => void;
}

const ROW_HEIGHT = 27;
const ICONS: Record<TraceLevel, typeof Info> = {
  debug: ScanSearch,
  info: Info,
  warn: TriangleAlert,
  error: OctagonX,
};

/** What happened, in its order. An event of a node leads its console to that moment. */
export function TracePanel({ run, trace, isOpen, onToggle, onShow }: TracePanelProps) {
  const [filter, setFilter] = useState<TraceFilter>({ level: "info", nodeRef: "" });
  const { events: all, error, retry } = trace;
  const events = useMemo(() => all.filter((event) => passes(event, filter)), [all, filter]);
  const troubles = useMemo(() => all.filter((event) => event.level === "error").length, [all]);
  const last = all.at(-1);
  const Chevron = isOpen ? ChevronDown : ChevronUp;
  return (
    <section className={classes.panel} aria-label="Trace">
      <div className={classes.head}>
        <button type="button" className={classes.toggle} aria-expanded={isOpen} onClick={onToggle}>
          <Chevron size={15} aria-hidden />
          Trace
          <span className={`numbers ${classes.count}`}>{plural(all.length, "event")}</span>
          {troubles > 0 && <span className={`numbers ${classes.troubles}`}>{plural(troubles, "error")}</span>}
        </button>
        {error !== undefined && (
          <span className={classes.missing} role="alert">
            The events before could not be loaded: {error}
            <Button size="compact-xs" variant="default" onClick={retry}>
              Try again
            </Button>
          </span>
        )}
        {!isOpen && last && (
          <span className={classes.last}>
            <span className="mono numbers">{formatClock(last.timestamp)}</span> <Prose text={last.message} />
          </span>
        )}
        {isOpen && (
          <div className={classes.filters}>
            <Select
              aria-label="Level"
              data={LEVELS.map((level) => ({
                value: level,
                label: level === "error" ? level : `${level} and above`,
              }))}
              value={filter.level}
              allowDeselect={false}
              onChange={(level) => setFilter({ ...filter, level: (level ?? "info") as TraceLevel })}
              w={140}
            />
            <Select
              aria-label="Node"
              visibleFrom="sm"
              placeholder="All nodes"
              clearable
              searchable
              data={run.nodes.map((node) => node.ref)}
              value={filter.nodeRef === "" ? null : filter.nodeRef}
              onChange={(nodeRef) => setFilter({ ...filter, nodeRef: nodeRef ?? "" })}
              w={170}
            />
          </div>
        )}
      </div>
      {isOpen && <TraceList run={run} events={events} onShow={onShow} />}
    </section>
  );
}

function TraceList({
  run,
  events,
  onShow,
}: {
  run: WholeRun;
  events: readonly TraceEvent[];
  onShow: TracePanelProps["onShow"];
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const isAtEnd = useRef(true);
  const starts = useMemo(() => new Map(run.nodes.map((node) => [node.ref, node.startedAt])), [run.nodes]);
  const rows = useVirtualizer({
    count: events.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 10,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: it scrolls when there are more
  useEffect(() => {
    if (isAtEnd.current) scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
  }, [events.length]);
  return (
    <div
      className={classes.scroller}
      ref={scroller}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
      tabIndex={0}
      role="log"
      aria-label="Trace events"
      aria-live="off"
      onScroll={({ currentTarget: { scrollTop, scrollHeight, clientHeight } }) => {
        isAtEnd.current = scrollTop + clientHeight >= scrollHeight - ROW_HEIGHT;
      }}
    >
      <div className={classes.rows} style={{ height: rows.getTotalSize() }}>
        {rows.getVirtualItems().map((item) => {
          const event = events[item.index];
          if (!event) return null;
          const Icon = ICONS[event.level];
          const { nodeRef } = event;
          const atMs = nodeRef == null ? undefined : momentOf(event, starts.get(nodeRef));
          return (
            <button
              type="button"
              key={event.seq}
              className={classes.row}
              data-level={event.level}
              style={{ transform: `translateY(${item.start}px)`, height: ROW_HEIGHT }}
              disabled={nodeRef == null}
              onClick={() => nodeRef != null && onShow(nodeRef, atMs)}
            >
              <Icon size={13} aria-label={event.level} />
              <span className={`mono numbers ${classes.time}`} title={formatMoment(event.timestamp)}>
                {formatClock(event.timestamp)}
              </span>
              <span className={`mono ${classes.type}`}>{event.type}</span>
              <span className={`mono ${classes.node}`}>{nodeRef}</span>
              <span className={classes.message}>
                <Prose text={event.message} />
              </span>
            </button>
          );
        })}
      </div>
      {events.length === 0 && <p className={classes.none}>No event passes.</p>}
    </div>
  );
}
