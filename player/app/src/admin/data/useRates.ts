import { useState } from "react";
import { nextRates, type Rates } from "./rates";

const NONE: ReadonlyMap<string, number> = new Map();

/** How fast counters grow, by name: `values` as read at `at`, anew after every poll. */
export function useRates(at: number, values: () => ReadonlyMap<string, number>): ReadonlyMap<string, number> {
  const [seenAt, setSeenAt] = useState(0);
  const [rates, setRates] = useState<Rates>();
  if (at !== seenAt && at > 0) {
    setSeenAt(at);
    setRates(nextRates(rates, { at, values: values() }));
  }
  return rates?.perSecond ?? NONE;
}
