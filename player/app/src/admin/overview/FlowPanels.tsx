import { useMemo } from "react";
import type uPlot from "uplot";
import { POLL_MS } from "../data/usePoll";
import { type FlowPoint, useFlowPoints } from "../data/useVitals";
import { Panel } from "../Panel";
import { Plot } from "../plots/Plot";
import { NO_MARKS, type PlotLine, tellValue, type Unit } from "../plots/plotOptions";
import { Readout } from "../plots/Readout";
import { withGaps } from "../plots/series";
import classes from "./overview.module.css";

interface Flow {
  name: Exclude<keyof FlowPoint, "at">;
  title: string;
  unit: Unit;
  colour: string;
  /** The room of a plot of nothing. */
  least: number;
}

const FLOWS: readonly Flow[] = [
  {
    name: "bytesPerSecond",
    title: "Throughput",
    unit: "bytes/s",
    colour: "--series-1",
    least: 1024,
  },
  {
    name: "archiveBacklogBytes",
    title: "Archive backlog",
    unit: "bytes",
    colour: "--series-3",
    least: 1024,
  },
  { name: "viewers", title: "Viewers", unit: "count", colour: "--series-2", least: 4 },
];

/** What is shown at first; the plots grow to the hour that is kept. */
const FIRST_WINDOW_MS = 120_000;
const FURTHEST_SECS = (POLL_MS * 4) / 1000;

/** How output flows, since the page was opened. */
export function FlowPanels() {
  const points = useFlowPoints();
  return (
    <>
      <div className={classes.flows}>
        {FLOWS.map((flow) => (
          <FlowPanel key={flow.name} flow={flow} points={points} />
        ))}
      </div>
      <p className={classes.note}>
        Gathered since this page was opened, for an hour at most: the service keeps no history of these.
      </p>
    </>
  );
}

function FlowPanel({ flow, points }: { flow: Flow; points: readonly FlowPoint[] }) {
  const { name, title, unit, colour, least } = flow;
  const view = useMemo(() => {
    const values = points.map((point) => point[name]);
    const end = points.at(-1)?.at ?? Date.now();
    const start = Math.min(points[0]?.at ?? end, end - FIRST_WINDOW_MS);
    const window: [number, number] = [start / 1000, end / 1000];
    const times = points.map(({ at }) => at / 1000);
    const highest = Math.max(0, ...values);
    return {
      data: withGaps(times, [values], FURTHEST_SECS) as uPlot.AlignedData,
      scope: { window, top: Math.max(least, highest * 1.15), marks: NO_MARKS },
      now: values.at(-1) ?? 0,
      highest,
    };
  }, [points, name, least]);
  const lines: PlotLine[] = [{ kind: "area", colour }];
  const told = `${title}: ${tellValue(view.now, unit)} now, at most ${tellValue(view.highest, unit)} since this page was opened.`;
  return (
    <Panel title={title} fact={points.length === 0 ? "–" : tellValue(view.now, unit)}>
      <Plot
        isSmall
        label={told}
        lines={lines}
        unit={unit}
        data={view.data}
        scope={view.scope}
        readout={(at) => {
          const [time, value] = [view.data[0]?.[at], view.data[1]?.[at]];
          if (time === undefined || value == null) return null;
          return (
            <Readout
              time={time}
              values={[{ label: title, colour, kind: "area", value: tellValue(value, unit) }]}
            />
          );
        }}
      />
    </Panel>
  );
}
