import { useComputedColorScheme } from "@mantine/core";
import { type ReactNode, useEffect, useLayoutEffect, useRef, useState } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { type PlotLine, plotOptions, type Scope, type Unit } from "./plotOptions";
import classes from "./plots.module.css";

interface PlotProps {
  /** What it shows, in words. */
  label: string;
  lines: readonly PlotLine[];
  unit: Unit;
  /** Times, then a column for each line. */
  data: uPlot.AlignedData;
  scope: Scope;
  /** What is said of the moment below the pointer. */
  readout: (at: number) => ReactNode;
  isSmall?: boolean;
}

interface Hover {
  at: number;
  /** Pixels from the left end of the plot. */
  left: number;
  isRight: boolean;
}

/** Lines over time. */
export function Plot({ label, lines, unit, data, scope, readout, isSmall = false }: PlotProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const latest = useRef({ data, scope });
  const [hover, setHover] = useState<Hover>();
  const scheme = useComputedColorScheme("dark");
  const shape = JSON.stringify(lines);

  useLayoutEffect(() => {
    latest.current = { data, scope };
  });
  useLayoutEffect(() => {
    const element = host.current;
    if (element === null) return undefined;
    const options = plotOptions(JSON.parse(shape), unit, () => latest.current.scope);
    const follow = (self: uPlot) => setHover(hoverOf(self));
    const hooks = { ...options.hooks, setCursor: [follow] };
    const size = () => ({ width: element.clientWidth, height: element.clientHeight });
    const made = new uPlot({ ...options, ...size(), hooks }, latest.current.data, element);
    plot.current = made;
    const observer = new ResizeObserver(() => made.setSize(size()));
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = undefined;
      setHover(undefined);
    };
  }, [shape, unit]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the scope is asked for while it is drawn
  useLayoutEffect(() => plot.current?.setData(data), [data, scope]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the colours of the other scheme
  useEffect(() => {
    // The page gets its scheme after this effect.
    const frame = requestAnimationFrame(() => plot.current?.redraw(false, true));
    return () => cancelAnimationFrame(frame);
  }, [scheme]);

  const told = hover === undefined ? undefined : readout(hover.at);
  return (
    <div className={classes.plot} data-small={isSmall || undefined}>
      <div ref={host} className={classes.host} role="img" aria-label={label} />
      {hover !== undefined && told != null && (
        <div
          className={classes.readout}
          data-right={hover.isRight || undefined}
          style={{ left: hover.left }}
          aria-hidden
        >
          {told}
        </div>
      )}
    </div>
  );
}

function hoverOf(plot: uPlot): Hover | undefined {
  const { idx, left } = plot.cursor;
  if (idx == null || left === undefined || left < 0) return undefined;
  const offset = plot.bbox.left / devicePixelRatio;
  const width = plot.bbox.width / devicePixelRatio;
  return { at: idx, left: offset + left, isRight: left > width / 2 };
}
