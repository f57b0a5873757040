import type { RunNode } from "@runcast/react";
import { StatusIcon } from "../../status/StatusIcon";
import classes from "./nodes.module.css";
import type { Rails } from "./rails";

const DOT = 16;

interface RailLinesProps {
  rails: Rails;
  nodes: readonly RunNode[];
  /** The node whose edges stand out. */
  highlighted: string | undefined;
}

/** The edges and the dots. The list beside says the same in words. */
export function RailLines({ rails, nodes, highlighted }: RailLinesProps) {
  const isLit = (edge: { from: string; to: string }) => edge.from === highlighted || edge.to === highlighted;
  const edges = [...rails.edges].sort((left, right) => Number(isLit(left)) - Number(isLit(right)));
  const height = Math.max(0, ...rails.dots.map((dot) => dot.y)) + DOT;
  return (
    <svg className={classes.rails} width={rails.width} height={height} aria-hidden="true">
      {edges.map((edge) => (
        <path
          key={`${edge.from} ${edge.to}`}
          d={edge.path}
          className={isLit(edge) ? classes.lit : classes.edge}
        />
      ))}
      {rails.dots.map((dot, index) => (
        <g key={dot.ref} transform={`translate(${dot.x - DOT / 2} ${dot.y - DOT / 2})`}>
          <circle cx={DOT / 2} cy={DOT / 2} r={DOT / 2 + 2} className={classes.hole} />
          <StatusIcon status={nodes[index]?.status ?? "PENDING"} size={DOT} />
        </g>
      ))}
    </svg>
  );
}
