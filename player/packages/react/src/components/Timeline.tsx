import { type KeyboardEvent, type PointerEvent, useMemo, useRef, useState } from "react";
import type { RecordingIndex } from "../api/types.ts";
import type { Tick } from "../playback/types.ts";
import { formatTime, speakTime } from "./format.ts";
import type { TimelineProps } from "./types.ts";

/** What an arrow key moves by. */
const ARROW_MS = 5_000;
/** Page keys move by this part of the whole. */
const PAGE_PART = 0.1;
const CHART_HEIGHT = 100;

/** Activity, ticks and playhead of a recording; a slider for mouse, touch, keyboard and screen readers. */
export function Timeline({ playback, index, ticks = [], onSeek, label = "Timeline" }: TimelineProps) {
  const track = useRef<HTMLDivElement>(null);
  const [hoverMs, setHoverMs] = useState<number>();
  const [dragMs, setDragMs] = useState<number>();
  const { durationMs } = playback;
  const positionMs = dragMs ?? playback.positionMs;
  const activity = useMemo(() => activityPath(index, durationMs), [index, durationMs]);
  const isLive = playback.phase === "live";

  const placeOf = (event: PointerEvent) => {
    const box = track.current?.getBoundingClientRect();
    if (box === undefined || box.width === 0) return 0;
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * durationMs;
  };
  const onPointerDown = (event: PointerEvent) => {
    if (event.button !== 0 || durationMs === 0) return;
    track.current?.setPointerCapture(event.pointerId);
    track.current?.focus();
    setDragMs(placeOf(event));
  };
  const onPointerMove = (event: PointerEvent) => {
    const placeMs = placeOf(event);
    setHoverMs(placeMs);
    if (dragMs !== undefined) setDragMs(placeMs);
  };
  const onPointerUp = (event: PointerEvent) => {
    if (dragMs === undefined) return;
    setDragMs(undefined);
    onSeek(snap(placeOf(event), ticks, durationMs));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const target = keyTarget(event, playback.positionMs, durationMs);
    if (target === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    onSeek(Math.min(Math.max(target, 0), durationMs));
  };

  const at = (atMs: number) => `${durationMs === 0 ? 0 : Math.min((atMs / durationMs) * 100, 100)}%`;
  return (
    <div
      ref={track}
      className="rc-timeline"
      data-live={isLive || undefined}
      data-dragging={dragMs !== undefined || undefined}
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={Math.round(durationMs)}
      aria-valuenow={Math.round(Math.min(positionMs, durationMs))}
      aria-valuetext={isLive ? "live" : `${speakTime(positionMs)} of ${speakTime(durationMs)}`}
      onPointerDown={onPointerDown}
      onPointerMove={onPointerMove}
      onPointerUp={onPointerUp}
      onPointerCancel={() => setDragMs(undefined)}
      onPointerLeave={() => setHoverMs(undefined)}
      onKeyDown={onKeyDown}
    >
      <div className="rc-timeline-chart">
        <svg viewBox={`0 0 1000 ${CHART_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <path className="rc-activity" d={activity} />
        </svg>
        <div
          className="rc-timeline-played"
          style={{ clipPath: `inset(0 calc(100% - ${at(positionMs)}) 0 0)` }}
        >
          <svg viewBox={`0 0 1000 ${CHART_HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
            <path className="rc-activity" d={activity} />
          </svg>
        </div>
      </div>
      <div className="rc-timeline-rail" />
      {ticks.map((tick) => (
        <span
          key={`${tick.kind}-${tick.atMs}-${tick.label}`}
          className={`rc-tick rc-tick-${tick.kind}`}
          style={{ left: at(tick.atMs) }}
          title={`${tick.label} · ${formatTime(tick.atMs)}`}
        />
      ))}
      <span className="rc-playhead" style={{ left: at(positionMs) }} />
      {hoverMs !== undefined && durationMs > 0 && (
        <span className="rc-timeline-hint" style={{ left: at(hoverMs) }}>
          {hintOf(hoverMs, ticks, durationMs)}
        </span>
      )}
    </div>
  );
}

function keyTarget(event: KeyboardEvent, positionMs: number, durationMs: number): number | undefined {
  const step = event.shiftKey ? durationMs * PAGE_PART : ARROW_MS;
  switch (event.key) {
    case "ArrowRight":
    case "ArrowUp":
      return positionMs + step;
    case "ArrowLeft":
    case "ArrowDown":
      return positionMs - step;
    case "PageUp":
      return positionMs + durationMs * PAGE_PART;
    case "PageDown":
      return positionMs - durationMs * PAGE_PART;
    case "Home":
      return 0;
    case "End":
      return durationMs;
    default:
      return undefined;
  }
}

/** A tick within a hundredth of the whole. */
function tickNear(atMs: number, ticks: readonly Tick[], durationMs: number): Tick | undefined {
  const near = ticks.filter((tick) => Math.abs(tick.atMs - atMs) <= durationMs / 100);
  return near.sort((one, other) => Math.abs(one.atMs - atMs) - Math.abs(other.atMs - atMs))[0];
}

function snap(atMs: number, ticks: readonly Tick[], durationMs: number): number {
  return tickNear(atMs, ticks, durationMs)?.atMs ?? atMs;
}

function hintOf(atMs: number, ticks: readonly Tick[], durationMs: number): string {
  const tick = tickNear(atMs, ticks, durationMs);
  return tick === undefined
    ? formatTime(atMs, "tenths")
    : `${tick.label} · ${formatTime(tick.atMs, "tenths")}`;
}

/** Points of the chart: as many as one can tell apart. */
const CHART_POINTS = 200;

/** A filled area, low at the bottom; logarithmic, so that a quiet build is seen beside a flood. */
export function activityPath(index: RecordingIndex | undefined, durationMs: number): string {
  if (index === undefined || durationMs === 0 || index.activity.length === 0) return "";
  const bytes = smooth(gather(index.activity, CHART_POINTS));
  const largest = Math.max(...bytes);
  if (largest === 0) return "";
  const width = ((index.durationMs / durationMs) * 1_000) / bytes.length;
  const points = bytes.map((each, at) => {
    const height = (Math.log1p(each) / Math.log1p(largest)) * CHART_HEIGHT;
    return `L${((at + 0.5) * width).toFixed(1)} ${(CHART_HEIGHT - height).toFixed(1)}`;
  });
  return `M0 ${CHART_HEIGHT}${points.join("")}L${(bytes.length * width).toFixed(1)} ${CHART_HEIGHT}Z`;
}

/** Sums neighbours, so that there are at most so many. */
function gather(values: readonly number[], most: number): number[] {
  const size = Math.ceil(values.length / most);
  const sums: number[] = [];
  for (const [at, value] of values.entries()) {
    const slot = Math.floor(at / size);
    sums[slot] = (sums[slot] ?? 0) + value;
  }
  return sums;
}

/** Each value with half of its neighbours. */
function smooth(values: readonly number[]): number[] {
  return values.map((value, at) => value / 2 + ((values[at - 1] ?? value) + (values[at + 1] ?? value)) / 4);
}
