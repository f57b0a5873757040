import type { RunConsoleHandle, RunConsoleState } from "@runcast/react";
import { useEffect, useState } from "react";

/** How often a head is drawn again while its console changes all the time. */
const EVERY_MS = 200;

/** What is known of a console, at most a few times a second; undefined while there is none. */
export function useConsoleState(handle: RunConsoleHandle | null): RunConsoleState | undefined {
  const [state, setState] = useState<RunConsoleState>();
  useEffect(() => {
    if (!handle) {
      setState(undefined);
      return;
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    const read = () => {
      timer = undefined;
      setState(handle.getState());
    };
    read();
    const unsubscribe = handle.subscribe(() => {
      timer ??= setTimeout(read, EVERY_MS);
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [handle]);
  return state;
}
