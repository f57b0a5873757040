import { Drawer } from "@mantine/core";
import type { Run } from "@runcast/react";
import { ExternalLink } from "lucide-react";
import type { ReactNode } from "react";
import { formatBytes, formatMoment, plural } from "../format/format";
import classes from "./details.module.css";
import type { RecordingsByNode } from "./useRecordings";

interface RunDetailsProps {
  run: Run;
  recordings: RecordingsByNode;
  isOpen: boolean;
  onClose: () => void;
}

/** All facts of a run that have no room in its header. */
export function RunDetails({ run, recordings, isOpen, onClose }: RunDetailsProps) {
  const bytes = [...recordings.values()].reduce((sum, node) => sum + node.bytes, 0);
  const metadata = Object.entries(run.metadata ?? {});
  const labels = Object.entries(run.labels);
  const { complete, incomplete, live } = run.recordings;
  return (
    <Drawer
      opened={isOpen}
      onClose={onClose}
      title="Details"
      position="right"
      size="md"
      closeButtonProps={{ "aria-label": "Close" }}
    >
      <dl className={classes.list}>
        <Row name="Id">
          <span className="mono">{run.runId}</span>
        </Row>
        {run.workflowId && <Row name="Workflow">{run.workflowId}</Row>}
        <Row name="Tenant">{run.tenant}</Row>
        <Row name="Created">{formatMoment(run.createdAt)}</Row>
        {run.startedAt && <Row name="Started">{formatMoment(run.startedAt)}</Row>}
        {run.finishedAt && <Row name="Finished">{formatMoment(run.finishedAt)}</Row>}
        <Row name="Recorded">
          {plural(complete, "stream")} complete{incomplete > 0 && `, ${incomplete} incomplete`}
          {live > 0 && `, ${live} live`}, {formatBytes(bytes)}
        </Row>
        <Row name="Last event">
          <span className="mono">{run.lastSeq}</span>
          {run.epoch > 0 && `, taken over ${plural(run.epoch, "time")}`}
        </Row>
      </dl>
      {labels.length > 0 && <Pairs title="Labels" pairs={labels} />}
      {metadata.length > 0 && <Pairs title="Metadata" pairs={metadata} />}
      {run.links.length > 0 && (
        <section>
          <h3 className={classes.title}>Links</h3>
          <ul className={classes.links}>
            {run.links.map((link) => (
              <li key={link.url}>
                <a href={link.url} target="_blank" rel="noopener noreferrer">
                  {link.label} <ExternalLink size={12} aria-hidden />
                </a>
              </li>
            ))}
          </ul>
        </section>
      )}
    </Drawer>
  );
}

function Row({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Pairs({ title, pairs }: { title: string; pairs: readonly (readonly [string, unknown])[] }) {
  return (
    <section>
      <h3 className={classes.title}>{title}</h3>
      <dl className={classes.list}>
        {pairs.map(([name, value]) => (
          <Row key={name} name={name}>
            <span className="mono">{typeof value === "string" ? value : JSON.stringify(value, null, 1)}</span>
          </Row>
        ))}
      </dl>
    </section>
  );
}
