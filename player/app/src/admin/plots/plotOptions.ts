import type uPlot from "uplot";
import { formatBytes } from "../../format/format";
import { BYTE_STEPS, byteTick, COUNT_STEPS, timeTicks } from "./axes";

export interface PlotLine {
  /** The name of a token. */
  readonly colour: string;
  /** An area lies on the one before it, the first on the axis. */
  readonly kind: "area" | "line";
}

export type Unit = "bytes" | "bytes/s" | "count";

/** What is drawn over the lines. */
export interface Marks {
  /** Across the plot, at a value. */
  readonly limits: readonly { value: number; label: string; colour: string }[];
  /** Down the plot, at a time. */
  readonly moments: readonly { at: number; label: string }[];
}

/** What changes with every poll. */
export interface Scope {
  /** The first and the last second. */
  readonly window: readonly [number, number];
  /** The highest value there is room for. */
  readonly top: number;
  readonly marks: Marks;
}

export const NO_MARKS: Marks = { limits: [], moments: [] };

/** The options of a plot of these lines; `scope` is asked whenever it is drawn. */
export function plotOptions(lines: readonly PlotLine[], unit: Unit, scope: () => Scope): uPlot.Options {
  const isStack = lines.some((line, at) => at > 0 && line.kind === "area");
  return {
    width: 100,
    height: 100,
    padding: [10, 20, 0, 0],
    legend: { show: false },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { show: !isStack, size: 7 },
    },
    scales: {
      x: { time: true, range: () => [...scope().window] },
      y: { range: () => [0, scope().top] },
    },
    axes: [timeAxis(), valueAxis(unit, isStack)],
    series: [{}, ...lines.map(seriesOf)],
    bands: lines.flatMap((line, at) =>
      line.kind === "area" && at > 0 ? [{ series: [at + 1, at] as [number, number] }] : [],
    ),
    hooks: { draw: [(plot) => drawMarks(plot, scope().marks)] },
  };
}

/** The colour of a token, as it is in the scheme of the moment. */
function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function seriesOf({ colour, kind }: PlotLine): uPlot.Series {
  return {
    stroke: () => token(colour),
    width: kind === "area" ? 1.25 : 1.75,
    points: { show: false },
    ...(kind === "area" && { fill: () => `${token(colour)}8c` }),
  };
}

const FONT = "11px 'Inter Variable', sans-serif";

function timeAxis(): uPlot.Axis {
  return {
    ...axisLook(),
    size: 26,
    space: 50,
    values: (_plot, times, _axis, _space, step) => timeTicks(times, step),
  };
}

function valueAxis(unit: Unit, isStack: boolean): uPlot.Axis {
  const isCount = unit === "count";
  return {
    ...axisLook(),
    size: isCount ? 34 : unit === "bytes" ? 62 : 70,
    space: isStack ? 40 : 22,
    incrs: isCount ? COUNT_STEPS : BYTE_STEPS,
    values: (_plot, values) => values.map((value) => tickOf(value, unit)),
  };
}

function tickOf(value: number, unit: Unit): string {
  if (unit === "count") return String(value);
  return unit === "bytes" || value === 0 ? byteTick(value) : `${byteTick(value)}/s`;
}

/** What a readout says of a value. */
export function tellValue(value: number, unit: Unit): string {
  if (unit === "count") return String(value);
  return unit === "bytes" ? formatBytes(value) : `${formatBytes(value)}/s`;
}

function axisLook(): uPlot.Axis {
  return {
    stroke: () => token("--faint"),
    font: FONT,
    gap: 6,
    ticks: { show: false },
    grid: { stroke: () => token("--line"), width: 1 },
  };
}

function drawMarks(plot: uPlot, { limits, moments }: Marks): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.font = FONT.replace("11px", `${11 * ratio}px`);
  for (const { value, label, colour } of limits) {
    const y = Math.round(plot.valToPos(value, "y", true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    ctx.setLineDash([6 * ratio, 4 * ratio]);
    line(ctx, token(colour), [bbox.left, y], [bbox.left + bbox.width, y]);
    ctx.textAlign = "right";
    tell(ctx, label, token(colour), bbox.left + bbox.width - 4 * ratio, y - 5 * ratio);
  }
  for (const { at, label } of moments) {
    const x = Math.round(plot.valToPos(at, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    line(ctx, token("--dim"), [x, bbox.top], [x, bbox.top + bbox.height]);
    const isRight = x > bbox.left + bbox.width / 2;
    ctx.textAlign = isRight ? "right" : "left";
    tell(ctx, label, token("--dim"), x + (isRight ? -5 : 5) * ratio, bbox.top + bbox.height - 6 * ratio);
  }
  ctx.restore();
}

type Place = readonly [x: number, y: number];

function line(ctx: CanvasRenderingContext2D, colour: string, from: Place, to: Place): void {
  ctx.strokeStyle = colour;
  ctx.beginPath();
  ctx.moveTo(...from);
  ctx.lineTo(...to);
  ctx.stroke();
}

/** Text that can be read on any colour. */
function tell(ctx: CanvasRenderingContext2D, text: string, colour: string, x: number, y: number): void {
  ctx.setLineDash([]);
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * devicePixelRatio;
  ctx.strokeStyle = token("--panel");
  ctx.strokeText(text, x, y);
  ctx.lineWidth = devicePixelRatio;
  ctx.fillStyle = colour;
  ctx.fillText(text, x, y);
}
