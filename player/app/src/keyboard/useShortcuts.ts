import { useEffect, useRef } from "react";
import { keyName, takesText } from "./shortcuts";

/** Calls what belongs to a key, unless somebody types or a dialog is open. */
export function useShortcuts(actions: Record<string, () => void>): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      // xterm takes keys with a textarea of its own, but nothing is ever typed into a console.
      const isConsole = target?.closest("[data-console]") != null;
      if (takesText(target) && !isConsole) return;
      if (document.querySelector('[role="dialog"], [role="menu"]')) return;
      const action = latest.current[keyName(event) ?? ""];
      if (!action) return;
      event.preventDefault();
      // The console has keys of its own; where both know one, the page is meant.
      event.stopPropagation();
      action();
    };
    window.addEventListener("keydown", press, { capture: true });
    return () => window.removeEventListener("keydown", press, { capture: true });
  }, []);
}
