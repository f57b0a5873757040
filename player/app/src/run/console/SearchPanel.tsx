import { ActionIcon, Loader, TextInput, Tooltip } from "@mantine/core";
import type { RunConsoleHandle, RunNode } from "@runcast/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { ChevronDown, ChevronUp, Regex, Search, X } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { formatPosition, plural } from "../../format/format";
import { useShortcuts } from "../../keyboard/useShortcuts";
import type { StreamName } from "../deepLink";
import { HitText } from "./HitText";
import { jumpTo } from "./jump";
import classes from "./search.module.css";
import { MOST_HITS, useSearch } from "./useSearch";

interface SearchPanelProps {
  runId: string;
  node: RunNode;
  stream: StreamName | undefined;
  handle: RunConsoleHandle | null;
  /** True if the keys of the page are for this pane. */
  isFocused: boolean;
  onClose: () => void;
}

const ROW_HEIGHT = 24;

/** Searches everything the node wrote; a hit leads the console to its moment. */
export function SearchPanel({ runId, node, stream, handle, isFocused, onClose }: SearchPanelProps) {
  const [text, setText] = useState("");
  const [isRegex, setIsRegex] = useState(false);
  const [current, setCurrent] = useState(-1);
  const { hits, isSearching, hasMore, error } = useSearch(runId, node.ref, stream, { text, isRegex });
  const input = useRef<HTMLInputElement>(null);
  const scroller = useRef<HTMLDivElement>(null);
  const leaving = useRef<() => void>(undefined);
  const rows = useVirtualizer({
    count: hits.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 6,
  });
  useEffect(() => input.current?.focus(), []);
  useEffect(() => () => leaving.current?.(), []);

  const go = (index: number) => {
    const hit = hits[index];
    if (!hit) return;
    setCurrent(index);
    rows.scrollToIndex(index);
    leaving.current?.();
    if (handle) leaving.current = jumpTo(handle, hit, text, isRegex);
  };
  const step = (by: number) => {
    if (hits.length > 0) go((current + by + hits.length) % hits.length);
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
    else if (event.key === "Escape") onClose();
    else return;
    event.preventDefault();
  };
  const next = () => step(1);
  const previous = () => step(-1);
  useShortcuts(isFocused ? { n: next, N: previous } : {});

  return (
    <search className={classes.panel} aria-label={`Search the output of ${node.ref}`}>
      <div className={classes.bar}>
        <TextInput
          ref={input}
          className={classes.input ?? ""}
          type="search"
          aria-label="Search"
          placeholder={isRegex ? "Regular expression" : "Text, case matters"}
          leftSection={isSearching ? <Loader size={13} color="gray" /> : <Search size={14} />}
          value={text}
          error={error !== undefined}
          spellCheck={false}
          onChange={(event) => {
            setText(event.currentTarget.value);
            setCurrent(-1);
          }}
          onKeyDown={press}
        />
        <Tooltip label="Regular expression">
          <ActionIcon
            aria-label="Regular expression"
            aria-pressed={isRegex}
            data-on={isRegex || undefined}
            onClick={() => setIsRegex((is) => !is)}
          >
            <Regex size={15} />
          </ActionIcon>
        </Tooltip>
        <span className={`numbers ${classes.count}`} role="status">
          {error ?? countOf(text, hits.length, current, isSearching, hasMore)}
        </span>
        <ActionIcon aria-label="Previous hit" disabled={hits.length === 0} onClick={() => step(-1)}>
          <ChevronUp size={16} />
        </ActionIcon>
        <ActionIcon aria-label="Next hit" disabled={hits.length === 0} onClick={() => step(1)}>
          <ChevronDown size={16} />
        </ActionIcon>
        <ActionIcon aria-label="Close the search" onClick={onClose}>
          <X size={15} />
        </ActionIcon>
      </div>
      {hits.length > 0 && (
        <div className={classes.hits} ref={scroller}>
          <ul style={{ height: rows.getTotalSize() }} aria-label="Hits">
            {rows.getVirtualItems().map((item) => {
              const hit = hits[item.index];
              if (!hit) return null;
              return (
                <li key={item.key} style={{ transform: `translateY(${item.start}px)`, height: ROW_HEIGHT }}>
                  <button
                    type="button"
                    className={classes.hit}
                    aria-current={item.index === current ? "true" : undefined}
                    onClick={() => go(item.index)}
                  >
                    <span className={`mono numbers ${classes.place}`}>{hit.line + 1}</span>
                    <span className={`mono numbers ${classes.place}`}>{formatPosition(hit.atMs)}</span>
                    <HitText text={hit.text} query={text} isRegex={isRegex} />
                  </button>
                </li>
              );
            })}
          </ul>
        </div>
      )}
    </search>
  );
}

function countOf(
  text: string,
  hits: number,
  current: number,
  isSearching: boolean,
  hasMore: boolean,
): string {
  if (text === "") return "";
  if (hits === 0) return isSearching ? "Searching" : "No hits";
  const count = hasMore ? `first ${MOST_HITS.toLocaleString("en")} hits` : plural(hits, "hit");
  return `${current >= 0 ? `${current + 1} of ` : ""}${count}${isSearching ? " …" : ""}`;
}
