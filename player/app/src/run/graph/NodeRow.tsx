import { ActionIcon, Tooltip } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import type { RunNode } from "@runcast/react";
import { useQuery } from "@tanstack/react-query";
import { Columns2, RotateCw } from "lucide-react";
import { useState } from "react";
import { elapsedMs, formatBytes, formatDuration } from "../../format/format";
import { client } from "../../service";
import { StatusIcon } from "../../status/StatusIcon";
import { hasEnded, lookOf } from "../../status/status";
import { useNow } from "../../useNow";
import { exitOf, volumeOf } from "../nodeFacts";
import type { RecordedNode } from "../useRecordings";
import classes from "./nodes.module.css";

/** CSS pixels; the rails count on it. */
export const ROW_HEIGHT = 46;

/** A mouse that only passes asks for nothing. */
const REST_MS = 300;

interface NodeRowProps {
  runId: string;
  node: RunNode;
  recorded: RecordedNode | undefined;
  /** Place in the list, in CSS pixels. */
  top: number;
  /** Room for the rails. */
  inset: number;
  hasOwnIcon: boolean;
  isShown: boolean;
  onHover: (nodeRef: string | undefined) => void;
  onShow: (nodeRef: string) => void;
  onShowBeside: (nodeRef: string) => void;
}

/** A node: state, name, duration, how it ended, how much it wrote. */
export function NodeRow(props: NodeRowProps) {
  const { runId, node, recorded, top, inset, hasOwnIcon, isShown, onHover, onShow, onShowBeside } = props;
  const [isHovered, setIsHovered] = useState(false);
  const [isResting] = useDebouncedValue(isHovered, REST_MS);
  const lastLine = useLastLine(runId, node, isHovered && isResting);
  const volume = volumeOf(node, recorded);
  const exit = exitOf(node);
  const hover = (is: boolean) => {
    setIsHovered(is);
    onHover(is ? node.ref : undefined);
  };
  return (
    <li
      className={classes.row}
      data-shown={isShown || undefined}
      data-node={node.ref}
      data-status={node.status}
      style={{ transform: `translateY(${top}px)`, height: ROW_HEIGHT }}
      onMouseEnter={() => hover(true)}
      onMouseLeave={() => hover(false)}
    >
      <Tooltip
        label={lastLine}
        opened={isHovered && isResting && lastLine !== undefined}
        position="right"
        maw={560}
        classNames={{ tooltip: classes.lastLine ?? "" }}
      >
        <button
          type="button"
          className={classes.node}
          style={{ paddingLeft: inset + 4 }}
          aria-current={isShown ? "true" : undefined}
          onClick={() => onShow(node.ref)}
          onFocus={() => hover(true)}
          onBlur={() => hover(false)}
        >
          {hasOwnIcon && <StatusIcon status={node.status} />}
          <span className={classes.texts}>
            <span className={classes.title}>{node.name ?? node.ref}</span>
            <span className={classes.facts}>
              <span className="visually-hidden">{lookOf(node.status).label}</span>
              {node.name != null && <span className="mono">{node.ref}</span>}
              {exit && <span className={classes.exit}>{exit}</span>}
              {node.attempt > 1 && (
                <span title={`attempt ${node.attempt}`} className={classes.attempt}>
                  <RotateCw size={10} aria-hidden /> {node.attempt}
                  <span className="visually-hidden">attempts</span>
                </span>
              )}
              {volume && volume.chunks > 0 && (
                <span className="numbers" title={`${volume.chunks} chunks`}>
                  {formatBytes(volume.bytes)}
                </span>
              )}
              {!volume && !exit && <span>{node.terminal.mode}</span>}
            </span>
          </span>
          <NodeDuration node={node} />
        </button>
      </Tooltip>
      <Tooltip label="Open beside">
        <ActionIcon
          className={classes.beside ?? ""}
          aria-label={`Open ${node.ref} beside`}
          onClick={() => onShowBeside(node.ref)}
        >
          <Columns2 size={14} />
        </ActionIcon>
      </Tooltip>
    </li>
  );
}

/** Ticks only while the node runs. */
export function NodeDuration({ node }: { node: RunNode }) {
  if (!node.startedAt) return null;
  return (
    <span className={`numbers ${classes.duration}`}>
      {node.finishedAt ? <Fixed node={node} /> : <Ticking node={node} />}
    </span>
  );
}

function Fixed({ node }: { node: RunNode }) {
  return formatDuration(elapsedMs(node.startedAt, node.finishedAt, 0) ?? 0);
}

function Ticking({ node }: { node: RunNode }) {
  return formatDuration(elapsedMs(node.startedAt, undefined, useNow()) ?? 0);
}

/** The newest line of a node, read while the mouse rests on it. */
function useLastLine(runId: string, node: RunNode, isWanted: boolean): string | undefined {
  const isOver = hasEnded(node.status);
  const lines = useQuery({
    queryKey: ["last line", runId, node.ref, isOver],
    queryFn: ({ signal }) => client.lines(runId, node.ref, { tail: 1 }, { signal }),
    enabled: isWanted && node.streams.length > 0,
    staleTime: isOver ? Number.POSITIVE_INFINITY : 500,
    refetchInterval: isOver ? false : 1_000,
    retry: false,
  });
  const text = lines.data?.lines.at(-1)?.text.trim();
  return text === "" ? undefined : text;
}
