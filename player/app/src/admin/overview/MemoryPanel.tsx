import { SegmentedControl, Switch } from "@mantine/core";
import type { AdminMemory } from "@runcast/react";
import { useMemo, useState } from "react";
import { formatAgo, formatBytes, formatMoment, plural } from "../../format/format";
import { useNow } from "../../useNow";
import { readMemory } from "../data/requests";
import { usePoll } from "../data/usePoll";
import { useMemoryPoints } from "../data/useVitals";
import { isRange, RANGES, type Range } from "../link";
import { Panel } from "../Panel";
import { Plot } from "../plots/Plot";
import { Readout } from "../plots/Readout";
import { TroubleBanner } from "../TroubleBanner";
import { MemoryLegend } from "./MemoryLegend";
import { type MemoryView, memoryView, RSS } from "./memoryView";
import classes from "./overview.module.css";

interface MemoryPanelProps {
  report: AdminMemory | undefined;
  range: Range;
  onRange: (range: Range) => void;
}

/** How often the service's history is asked for: what comes between is gathered here. */
function everyMs(range: Range): number {
  return Math.min(300_000, Math.max(30_000, RANGES[range] / 60));
}

/** Memory by component over time. */
export function MemoryPanel({ report, range, onRange }: MemoryPanelProps) {
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const [hasLimits, setHasLimits] = useState(true);
  const history = usePoll({
    key: ["history", range],
    read: (asked) => readMemory(asked, range),
    everyMs: everyMs(range),
  });
  const points = useMemoryPoints();
  const samples = history.data?.samples;
  const latest = report ?? history.data;
  const view = useMemo(
    () =>
      latest &&
      memoryView({
        remembered: samples ?? [],
        gathered: points.map(({ figures }) => figures),
        report: latest,
        range,
        hidden,
        hasLimits,
      }),
    [latest, samples, points, range, hidden, hasLimits],
  );
  const toggle = (name: string) =>
    setHidden((before) => {
      const after = new Set(before);
      if (!after.delete(name)) after.add(name);
      return after;
    });

  return (
    <Panel
      title="Memory by component"
      tools={
        <>
          <Switch
            size="xs"
            label="Scale to the limits"
            checked={hasLimits}
            onChange={(event) => setHasLimits(event.currentTarget.checked)}
          />
          <SegmentedControl
            aria-label="Time range"
            data={Object.keys(RANGES)}
            value={range}
            onChange={(value) => isRange(value) && onRange(value)}
          />
        </>
      }
    >
      <TroubleBanner trouble={history.trouble} />
      <div className={classes.memory} aria-busy={history.isLoading}>
        {view === undefined || latest === undefined ? (
          <div className={classes.plotPlace} />
        ) : (
          <>
            <Plot
              label={view.told}
              lines={view.lines}
              unit="bytes"
              data={view.data}
              scope={view.scope}
              readout={(at) => <MemoryReadout view={view} time={view.data[0]?.[at]} hidden={hidden} />}
            />
            <MemoryLegend view={view} limits={latest.limits} hidden={hidden} onToggle={toggle} />
          </>
        )}
      </div>
      {latest?.lastCleanup && <LastCleanup cleanup={latest.lastCleanup} />}
    </Panel>
  );
}

function LastCleanup({ cleanup }: { cleanup: NonNullable<AdminMemory["lastCleanup"]> }) {
  const now = useNow();
  const ended = cleanup.terminated.length;
  return (
    <p className={`numbers ${classes.note}`} title={formatMoment(cleanup.at)}>
      Last clean-up {formatAgo(cleanup.at, now)}: {formatBytes(cleanup.freedBytes)} freed,{" "}
      {ended === 0 ? "no session ended" : `${plural(ended, "session")} ended`}.
    </p>
  );
}

interface MemoryReadoutProps {
  view: MemoryView;
  time: number | undefined;
  hidden: ReadonlySet<string>;
}

function MemoryReadout({ view, time, hidden }: MemoryReadoutProps) {
  const figures = time === undefined ? undefined : view.byTime.get(time);
  if (time === undefined || figures === undefined) return null;
  const rss = { label: "RSS", colour: "--text", kind: "line" as const, value: formatBytes(figures.rss) };
  const parts = view.rows
    .filter(({ component }) => !hidden.has(component.name))
    .map(({ component }) => ({
      label: component.label,
      colour: component.colour,
      kind: "area" as const,
      value: formatBytes(figures.components[component.name] ?? 0),
    }));
  return <Readout time={time} values={hidden.has(RSS) ? parts : [rss, ...parts]} />;
}
