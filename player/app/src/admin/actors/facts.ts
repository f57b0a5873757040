/** What actors show of themselves, in little room. */
import { formatBytes, formatCount, formatDuration, wordsOf } from "../../format/format";

export interface StateFact {
  readonly name: string;
  readonly value: string;
}

const LONGEST = 120;

/** The parts of a state; what is null says nothing. */
export function factsOf(state: unknown): StateFact[] {
  if (state === null || state === undefined) return [];
  if (typeof state !== "object" || Array.isArray(state)) return [{ name: "state", value: tell("", state) }];
  return Object.entries(state)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => ({ name: wordsOf(name).toLowerCase(), value: tell(name, value) }));
}

function tell(name: string, value: unknown): string {
  if (typeof value === "number") return tellNumber(name, value);
  if (typeof value === "boolean") return value ? "yes" : "no";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

function tellNumber(name: string, value: number): string {
  if (/bytes$/i.test(name)) return formatBytes(value);
  if (/Ms$/.test(name)) return formatDuration(value);
  if (/Secs$/.test(name)) return formatDuration(value * 1000);
  return name === "pid" || !Number.isInteger(value) ? String(value) : formatCount(value);
}

/** True of an end that was none of the actor's own will. */
export function isFault(lastExit: string | null | undefined): boolean {
  return lastExit != null && /^(failed|panicked)\b/.test(lastExit);
}
