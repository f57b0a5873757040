import { useEffect, useState } from "react";

/** Whole seconds until a moment, counted down. */
export function useCountdown(untilMs: number | undefined): number | undefined {
  const [nowMs, setNowMs] = useState(0);
  useEffect(() => {
    if (untilMs === undefined) return undefined;
    const tick = () => setNowMs(Date.now());
    tick();
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [untilMs]);
  if (untilMs === undefined || nowMs === 0) return undefined;
  return Math.max(Math.ceil((untilMs - nowMs) / 1_000), 0);
}
