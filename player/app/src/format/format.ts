/** How times, sizes and numbers read on the page. Pure: the moment is an argument. */

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** `0 B`, `17.3 KiB`, `2.0 GiB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? "B"}`;
}

/** `0`, `0.3`, `12`, `1,200`: how often a second something happens. */
export function formatRate(perSecond: number): string {
  const digits = perSecond >= 9.95 || perSecond === 0 ? 0 : 1;
  return perSecond > 0 && perSecond < 0.05 ? "<0.1" : formatCount(perSecond, digits);
}

/** `1,200`. */
export function formatCount(count: number, digits = 0): string {
  return count.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `0%`, `0.04%`, `12%`: a share from 0 to 1. */
export function formatShare(share: number): string {
  const percent = share * 100;
  if (percent > 0 && percent < 0.01) return "<0.01%";
  const digits = percent === 0 || percent >= 10 ? 0 : percent >= 1 ? 1 : 2;
  return `${Number(percent.toFixed(digits))}%`;
}

/** `440ms`, `1.4s`, `12s`, `3m 07s`, `2h 05m`, `4d 03h`: what a badge has room for. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.max(0, milliseconds);
  if (whole < 1_000) return `${Math.round(whole)}ms`;
  if (whole < 9_950) return `${(whole / 1000).toFixed(1)}s`;
  const seconds = Math.round(whole / 1000);
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${pad(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${pad(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${pad(hours % 24)}h`;
}

/** `1:23.4` and `1:02:03.4`: a place on the time axis of a recording. */
export function formatPosition(milliseconds: number): string {
  const tenths = Math.floor(Math.max(0, milliseconds) / 100);
  const seconds = Math.floor(tenths / 10);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${pad(seconds % 60)}.${tenths % 10}`;
  return hours > 0 ? `${hours}:${pad(minutes)}:${rest}` : `${minutes}:${rest}`;
}

/** `just now`, `42s ago`, `5m ago`, `3h ago`, `2d ago`, then the date. */
export function formatAgo(at: string, now: number): string {
  const seconds = Math.floor((now - Date.parse(at)) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 60) return `${seconds}s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h ago`;
  if (seconds < 7 * 86_400) return `${Math.floor(seconds / 86_400)}d ago`;
  return at.slice(0, 10);
}

/** `14:05:09.123` in the viewer's time zone. */
export function formatClock(at: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(pad).join(":");
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** The whole moment, for tooltips. */
export function formatMoment(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : `${date.toLocaleDateString()} ${formatClock(at)}`;
}

/** `1 node`, `7 nodes`. */
export function plural(count: number, singular: string, several = `${singular}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? singular : several}`;
}

/** Milliseconds between two moments; the second defaults to `now`; undefined before the first. */
export function elapsedMs(
  startedAt: string | null | undefined,
  finishedAt: string | null | undefined,
  now: number,
): number | undefined {
  if (!startedAt) return undefined;
  const end = finishedAt ? Date.parse(finishedAt) : now;
  return Math.max(0, end - Date.parse(startedAt));
}

/** The beginning and the end of an id; what is between is the same for neighbours. */
export function shortId(id: string): string {
  const generated = /^run-[0-9a-f]{8}-[0-9a-f-]{20,}$/.test(id);
  return generated ? `run-…${id.slice(-12)}` : id;
}

/** `archivedThrough` → `Archived through`. */
export function wordsOf(name: string): string {
  const words = name.replace(/([a-z0-9])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
