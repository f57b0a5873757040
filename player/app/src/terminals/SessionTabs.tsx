import type { ListedTerminal } from "@runcast/react";
import { Bell, SquareTerminal, X } from "lucide-react";
import { type KeyboardEvent, type ReactNode, useRef } from "react";
import shared from "../shell/tab.module.css";
import type { TabSigns } from "./ProjectTerminals";
import classes from "./terminals.module.css";

interface SessionTabsProps {
  sessions: readonly ListedTerminal[];
  current: string | undefined;
  signs: ReadonlyMap<string, TabSigns>;
  onSelect: (id: string) => void;
  /** Takes away the tab of one that has ended. */
  onClose: (id: string) => void;
  children: ReactNode;
}

/** A tab for each terminal of the project. */
export function SessionTabs({ sessions, current, signs, onSelect, onClose, children }: SessionTabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const press = (event: KeyboardEvent) => {
    const at = sessions.findIndex((session) => session.id === current);
    const next = { ArrowRight: sessions[at + 1], ArrowLeft: sessions[at - 1] }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    onSelect(next.id);
    list.current?.querySelector<HTMLElement>(`[data-session="${next.id}"]`)?.focus();
  };
  return (
    <div className={classes.bar}>
      <div className={classes.tabs} role="tablist" aria-label="Terminals" ref={list} onKeyDown={press}>
        {sessions.map((session) => {
          const { title, hasRung = false } = signs.get(session.id) ?? {};
          const isCurrent = session.id === current;
          return (
            <button
              type="button"
              key={session.id}
              role="tab"
              data-session={session.id}
              className={`${shared.tab} ${classes.tab}`}
              data-ended={!session.active || undefined}
              aria-selected={isCurrent}
              aria-controls={`session-${session.id}`}
              tabIndex={isCurrent ? 0 : -1}
              title={title ?? session.currentPath}
              onClick={() => onSelect(session.id)}
            >
              {hasRung ? <Bell size={14} aria-label="rang" /> : <SquareTerminal size={14} aria-hidden />}
              <span className={classes.tabName}>{session.tabName}</span>
              {!session.active && (
                // Keyboards close it with the button of its notice: a button inside a tab would be none to them.
                <span
                  className={shared.close}
                  aria-hidden
                  onClick={(event) => {
                    event.stopPropagation();
                    onClose(session.id);
                  }}
                >
                  <X size={12} />
                </span>
              )}
            </button>
          );
        })}
      </div>
      <div className={classes.barTools}>{children}</div>
    </div>
  );
}
