import type { RunNode } from "@runcast/react";
import { useMemo, useState } from "react";
import { formatBytes, plural } from "../../format/format";
import { StatusIcon } from "../../status/StatusIcon";
import { lookOf } from "../../status/status";
import { exitOf, volumeOf } from "../nodeFacts";
import type { RecordingsByNode } from "../useRecordings";
import type { WholeRun } from "../wholeRun";
import classes from "./graph.module.css";
import { layoutGraph } from "./layers";
import { MOST_DRAWN } from "./NodePanel";
import { NodeDuration } from "./NodeRow";

const SIZES = { nodeWidth: 196, nodeHeight: 58, layerGap: 64, rowGap: 14, mostRows: 10 };

interface RunGraphProps {
  run: WholeRun;
  recordings: RecordingsByNode;
  onShow: (nodeRef: string) => void;
}

/** The run as a whole: its graph, or a field of tiles where a graph would not be read. */
export function RunGraph({ run, recordings, onShow }: RunGraphProps) {
  const [hovered, setHovered] = useState<string>();
  const shape = JSON.stringify(run.nodes.map((node) => [node.ref, node.dependsOn]));
  const layout = useMemo(() => {
    const edges = JSON.parse(shape) as [string, string[]][];
    if (edges.length > MOST_DRAWN) return undefined;
    return layoutGraph(
      edges.map(([ref, dependsOn]) => ({ ref, dependsOn })),
      SIZES,
    );
  }, [shape]);
  if (!layout) return <NodeTiles nodes={run.nodes} onShow={onShow} />;
  const byRef = new Map(run.nodes.map((node) => [node.ref, node]));
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className={classes.field} tabIndex={0} aria-label="Graph of the run">
      <div className={classes.graph} style={{ width: layout.width, height: layout.height }}>
        <svg width={layout.width} height={layout.height} aria-hidden="true">
          {layout.frames.map((frame) => (
            <rect key={frame.x} className={classes.frame} rx={14} {...frame} />
          ))}
          {layout.bundles.map((path) => (
            <path key={path} d={path} className={classes.edge} />
          ))}
          {layout.edges.map((edge) => {
            const isLit = edge.from === hovered || edge.to === hovered;
            if (edge.isBundled && !isLit) return null;
            return (
              <path
                key={`${edge.from} ${edge.to}`}
                d={edge.path}
                className={classes.edge}
                data-done={byRef.get(edge.from)?.status === "COMPLETED" || undefined}
                data-busy={byRef.get(edge.to)?.status === "RUNNING" || undefined}
                data-lit={isLit || undefined}
              />
            );
          })}
        </svg>
        {layout.nodes.map((place) => {
          const node = byRef.get(place.ref);
          if (!node) return null;
          return (
            <button
              type="button"
              key={node.ref}
              className={classes.node}
              data-status={node.status}
              style={{ left: place.x, top: place.y, width: SIZES.nodeWidth, height: SIZES.nodeHeight }}
              onClick={() => onShow(node.ref)}
              onMouseEnter={() => setHovered(node.ref)}
              onMouseLeave={() => setHovered(undefined)}
              onFocus={() => setHovered(node.ref)}
              onBlur={() => setHovered(undefined)}
            >
              <StatusIcon status={node.status} size={18} />
              <span className={classes.texts}>
                <span className={classes.title}>{node.name ?? node.ref}</span>
                <span className={classes.facts}>
                  <span className={exitOf(node) ? classes.exit : undefined}>
                    {exitOf(node) ?? lookOf(node.status).label.toLowerCase()}
                  </span>
                  {node.attempt > 1 && <span>attempt {node.attempt}</span>}
                  <Volume node={node} recordings={recordings} />
                </span>
              </span>
              <NodeDuration node={node} />
            </button>
          );
        })}
      </div>
    </section>
  );
}

function Volume({ node, recordings }: { node: RunNode; recordings: RecordingsByNode }) {
  const volume = volumeOf(node, recordings.get(node.ref));
  if (!volume || volume.chunks === 0) return null;
  return (
    <span className="numbers" title={plural(volume.chunks, "chunk")}>
      {formatBytes(volume.bytes)}
    </span>
  );
}

function NodeTiles({ nodes, onShow }: { nodes: readonly RunNode[]; onShow: (nodeRef: string) => void }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard
    <section className={classes.field} tabIndex={0} aria-label="Nodes of the run">
      <div className={classes.tiles}>
        {nodes.map((node) => {
          const label = `${node.ref}: ${lookOf(node.status).label}`;
          return (
            <button
              type="button"
              key={node.ref}
              className={classes.tile}
              title={label}
              aria-label={label}
              onClick={() => onShow(node.ref)}
            >
              <StatusIcon status={node.status} size={16} />
            </button>
          );
        })}
      </div>
    </section>
  );
}
