import { Button, Popover, UnstyledButton } from "@mantine/core";
import type { RunStream } from "@runcast/react";
import { TriangleAlert } from "lucide-react";
import { plural } from "../format/format";
import { useNow } from "../useNow";
import { describeConnection } from "./connection";
import classes from "./connection.module.css";

/** How the page is connected to the run, always in sight; details and a retry on demand. */
export function ConnectionBadge({ stream }: { stream: RunStream }) {
  const now = useNow();
  const { tone, label, text } = describeConnection(stream, now);
  const missing = stream.gaps.reduce((sum, gap) => sum + gap.toSeq - gap.fromSeq + 1, 0);
  const mayRetry = stream.connection === "reconnecting" || stream.connection === "failed";
  return (
    <div className={classes.connection}>
      {stream.gaps.length > 0 && (
        <Popover position="bottom-end" width={320} shadow="md" withinPortal>
          <Popover.Target>
            <UnstyledButton className={classes.gap}>
              <TriangleAlert size={13} aria-hidden />
              {plural(stream.gaps.length, "gap")}
            </UnstyledButton>
          </Popover.Target>
          <Popover.Dropdown>
            <p>{plural(missing, "event")} of this run exist nowhere any more.</p>
            <ul className={classes.gaps}>
              {stream.gaps.slice(-20).map((gap) => (
                <li key={`${gap.fromSeq}-${gap.nodeRef ?? ""}`} className="mono">
                  {gap.fromSeq}–{gap.toSeq} {gap.reason} {gap.nodeRef}
                </li>
              ))}
            </ul>
          </Popover.Dropdown>
        </Popover>
      )}
      <Popover position="bottom-end" width={300} shadow="md" withinPortal>
        <Popover.Target>
          <UnstyledButton className={classes.badge} data-tone={tone} data-connection={stream.connection}>
            <span className={classes.dot} aria-hidden />
            <span className="numbers">{label}</span>
          </UnstyledButton>
        </Popover.Target>
        <Popover.Dropdown>
          <p>{text}</p>
          {stream.error && <p className={classes.error}>{stream.error.message}</p>}
        </Popover.Dropdown>
      </Popover>
      {mayRetry && (
        <Button size="compact-xs" onClick={stream.reconnect}>
          Retry now
        </Button>
      )}
      <span className="visually-hidden" role="status">
        Connection: {stream.connection}
      </span>
    </div>
  );
}
