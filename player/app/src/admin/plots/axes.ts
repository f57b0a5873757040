/** How the axes of plots read. */
import { formatBytes } from "../../format/format";

/** Steps of an axis of bytes, whose ticks are then whole in KiB, MiB and GiB. */
export const BYTE_STEPS = Array.from({ length: 42 }, (_, power) => 2 ** power);
/** Steps of an axis that counts. */
export const COUNT_STEPS = [1, 2, 5]
  .flatMap((step) => Array.from({ length: 8 }, (_, power) => step * 10 ** power))
  .sort((one, other) => one - other);

/** `0`, `64 MiB`, `1.5 GiB`. */
export function byteTick(bytes: number): string {
  return bytes === 0 ? "0" : formatBytes(bytes).replace(".0 ", " ");
}

const MINUTE_SECS = 60;
const DAY_SECS = 86_400;

/** The times of an axis whose ticks lie `step` seconds apart: `14:05`, `14:05:30`, and the day where one begins. */
export function timeTicks(times: readonly number[], step: number): string[] {
  return times.map((time) => {
    const date = new Date(time * 1000);
    const isMidnight = date.getHours() === 0 && date.getMinutes() === 0;
    if (step >= DAY_SECS || (isMidnight && step >= MINUTE_SECS)) {
      return date.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
    }
    return clock(date, step < MINUTE_SECS);
  });
}

/** `14:05:30`, what a readout says of its moment. */
export function readoutTime(time: number): string {
  return clock(new Date(time * 1000), true);
}

function clock(date: Date, hasSeconds: boolean): string {
  const options = { hour: "2-digit", minute: "2-digit", hour12: false } as const;
  return date.toLocaleTimeString("en-GB", hasSeconds ? { ...options, second: "2-digit" } : options);
}
