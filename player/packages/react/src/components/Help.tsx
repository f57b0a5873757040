import { useEffect, useRef } from "react";
import { SHORTCUTS } from "./shortcuts.ts";

/** The keys of the console. */
export function Help({ onClose }: { onClose: () => void }) {
  const panel = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    panel.current?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <div
      ref={panel}
      className="rc-help"
      role="dialog"
      aria-label="Keys of the console"
      tabIndex={-1}
      onKeyDown={(event) => {
        if (event.key !== "Escape" && event.key !== "?") return;
        event.stopPropagation();
        onClose();
      }}
    >
      <dl>
        {SHORTCUTS.map(([keys, action]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{action}</dd>
          </div>
        ))}
      </dl>
      <button type="button" className="rc-button rc-text" onClick={onClose}>
        Close
      </button>
    </div>
  );
}
