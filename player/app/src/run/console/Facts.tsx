import { Tooltip } from "@mantine/core";
import type { RunConsoleState, RunNode } from "@runcast/react";
import { ArchiveX, ScissorsLineDashed, ShieldAlert, ShieldCheck, TriangleAlert } from "lucide-react";
import { formatBytes, plural } from "../../format/format";
import { volumeOf } from "../nodeFacts";
import type { RecordedNode } from "../useRecordings";
import classes from "./console.module.css";

interface FactsProps {
  node: RunNode;
  recorded: RecordedNode | undefined;
  state: RunConsoleState | undefined;
}

/** How much there is, and whether it is all. */
export function Facts({ node, recorded, state }: FactsProps) {
  const volume = volumeOf(node, recorded);
  const terminal = state?.terminal;
  const gaps = Math.max(terminal?.gaps ?? 0, recorded?.gaps ?? 0);
  return (
    <span className={classes.facts}>
      {volume && volume.chunks > 0 && (
        <span className="numbers" title={plural(volume.chunks, "chunk")}>
          {formatBytes(volume.bytes)}
        </span>
      )}
      {gaps > 0 && (
        <Tooltip label="Output that exists nowhere any more">
          <span className={classes.bad}>
            <TriangleAlert size={13} aria-hidden /> {plural(gaps, "gap")}
          </span>
        </Tooltip>
      )}
      {recorded?.state === "complete" && (
        <Tooltip
          label={
            terminal?.integrity === "verified"
              ? "Recorded completely; every byte that came here was compared with its SHA-256."
              : "Recorded completely, with a SHA-256 over every byte."
          }
        >
          <span className={classes.good}>
            <ShieldCheck size={13} aria-hidden />
            {terminal?.integrity === "verified" ? "verified" : "complete"}
          </span>
        </Tooltip>
      )}
      {terminal?.integrity === "mismatch" && (
        <span className={classes.bad}>
          <ShieldAlert size={13} aria-hidden /> hash differs
        </span>
      )}
      {recorded?.state === "incomplete" && (
        <Tooltip label="Something of this output could not be kept; the recording says where.">
          <span className={classes.bad}>
            <ArchiveX size={13} aria-hidden /> incomplete
          </span>
        </Tooltip>
      )}
      {terminal?.truncated && (
        <Tooltip label="A long output: this view joined it at its last screen. The timeline, the search and the downloads reach all of it.">
          <span>
            <ScissorsLineDashed size={13} aria-hidden /> joined late
          </span>
        </Tooltip>
      )}
    </span>
  );
}
