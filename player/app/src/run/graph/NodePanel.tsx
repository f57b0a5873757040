import { TextInput } from "@mantine/core";
import type { RunNode } from "@runcast/react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { Search } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import { endedNodes } from "../../status/ProgressBar";
import type { RecordingsByNode } from "../useRecordings";
import type { WholeRun } from "../wholeRun";
import { NodeRow, ROW_HEIGHT } from "./NodeRow";
import classes from "./nodes.module.css";
import { RailLines } from "./RailLines";
import { railsOf } from "./rails";

/** Up to here the graph is drawn; a larger one is a list. */
export const MOST_DRAWN = 60;
/** From here on a filter is worth its room. */
const MANY = 12;

interface NodePanelProps {
  run: WholeRun;
  /** In the order in which they are listed. */
  nodes: readonly RunNode[];
  recordings: RecordingsByNode;
  /** Which are open in a pane. */
  shown: readonly string[];
  onShow: (nodeRef: string) => void;
  onShowBeside: (nodeRef: string) => void;
}

/** The nodes of a run with their state; beside them the rails of the graph, if it can be drawn. */
export function NodePanel({ run, nodes, recordings, shown, onShow, onShowBeside }: NodePanelProps) {
  const [filter, setFilter] = useState("");
  const [hovered, setHovered] = useState<string>();
  const wanted = filter.trim().toLowerCase();
  const listed = wanted === "" ? nodes : nodes.filter((node) => matches(node, wanted));
  const isDrawn = nodes.length <= MOST_DRAWN && wanted === "";
  const rails = useMemo(() => (isDrawn ? railsOf(nodes, ROW_HEIGHT) : undefined), [isDrawn, nodes]);
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: listed.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: isDrawn ? MOST_DRAWN : 8,
  });
  return (
    <div className={classes.panel}>
      <div className={classes.head}>
        <h2>Nodes</h2>
        <span className={`numbers ${classes.count}`}>
          {endedNodes(run.progress)} of {run.progress.total} ended
        </span>
      </div>
      {nodes.length > MANY && (
        <div className={classes.filter}>
          <TextInput
            aria-label="Filter nodes"
            placeholder="Filter by name or status"
            leftSection={<Search size={13} />}
            value={filter}
            onChange={(event) => setFilter(event.currentTarget.value)}
          />
        </div>
      )}
      <div className={classes.scroller} ref={scroller}>
        <div className={classes.rows} style={{ height: rows.getTotalSize() }}>
          {rails && <RailLines rails={rails} nodes={nodes} highlighted={hovered ?? shown[0]} />}
          <ul className={classes.list}>
            {rows.getVirtualItems().map((item) => {
              const node = listed[item.index];
              if (!node) return null;
              return (
                <NodeRow
                  key={node.ref}
                  runId={run.runId}
                  node={node}
                  recorded={recordings.get(node.ref)}
                  top={item.start}
                  inset={rails?.width ?? 12}
                  hasOwnIcon={!rails}
                  isShown={shown.includes(node.ref)}
                  onHover={setHovered}
                  onShow={onShow}
                  onShowBeside={onShowBeside}
                />
              );
            })}
          </ul>
        </div>
        {listed.length === 0 && <p className={classes.none}>No node matches.</p>}
      </div>
    </div>
  );
}

function matches(node: RunNode, wanted: string): boolean {
  return [node.ref, node.name ?? "", node.status].some((text) => text.toLowerCase().includes(wanted));
}
