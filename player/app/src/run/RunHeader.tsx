import { ActionIcon, Button, CopyButton, Menu, Tooltip } from "@mantine/core";
import { useClipboard } from "@mantine/hooks";
import type { Run } from "@runcast/react";
import { useQueryClient } from "@tanstack/react-query";
import { Ban, Check, Copy, Ellipsis, ExternalLink, Info, Link2, Trash2 } from "lucide-react";
import { useState } from "react";
import { useLocation } from "wouter";
import { elapsedMs, formatAgo, formatDuration, formatMoment, shortId } from "../format/format";
import { client } from "../service";
import { useMayWrite } from "../session/SessionGate";
import { ConfirmDialog } from "../shell/ConfirmDialog";
import { endedNodes, ProgressBar } from "../status/ProgressBar";
import { StatusBadge } from "../status/StatusIcon";
import { hasEnded } from "../status/status";
import { useNow } from "../useNow";
import classes from "./header.module.css";

/** Name, state and facts of a run, and what can be done with it. */
export function RunHeader({ run, onDetails }: { run: Run; onDetails: () => void }) {
  const labels = Object.entries(run.labels);
  const facts = Object.entries(run.metadata ?? {})
    .filter(([, value]) => typeof value !== "object")
    .slice(0, 4);
  return (
    <section className={classes.header} aria-label="Run">
      <div className={classes.line}>
        <StatusBadge status={run.status} />
        <h1 className={classes.name}>{run.name ?? run.runId}</h1>
        <CopyButton value={run.runId}>
          {({ copied, copy }) => (
            <Tooltip label={copied ? "Copied" : `Copy ${run.runId}`}>
              <button type="button" className={`mono ${classes.id}`} onClick={copy}>
                <span className="visually-hidden">Copy the id</span>
                {shortId(run.runId)}
                {copied ? <Check size={12} aria-hidden /> : <Copy size={12} aria-hidden />}
              </button>
            </Tooltip>
          )}
        </CopyButton>
        <RunActions run={run} onDetails={onDetails} />
      </div>
      <div className={classes.line}>
        <div className={classes.progress}>
          <ProgressBar progress={run.progress} />
          <span className="numbers">
            {endedNodes(run.progress)}/{run.progress.total}
          </span>
        </div>
        <RunTimes run={run} />
        <ul className={classes.facts}>
          {run.workflowId && <Fact name="workflow" value={run.workflowId} />}
          {labels.map(([name, value]) => (
            <Fact key={`label ${name}`} name={name} value={value} />
          ))}
          {facts.map(([name, value]) => (
            <Fact key={`metadata ${name}`} name={name} value={String(value)} />
          ))}
        </ul>
      </div>
    </section>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <li className={classes.fact}>
      <span>{name}</span> {value}
    </li>
  );
}

function RunTimes({ run }: { run: Run }) {
  const now = useNow();
  const elapsed = elapsedMs(run.startedAt, run.finishedAt, now);
  return (
    <span className={`numbers ${classes.times}`} title={`created ${formatMoment(run.createdAt)}`}>
      {elapsed === undefined ? "waits for a place" : formatDuration(elapsed)}
      <span className={classes.ago}>{formatAgo(run.createdAt, now)}</span>
    </span>
  );
}

function RunActions({ run, onDetails }: { run: Run; onDetails: () => void }) {
  const [asks, setAsks] = useState<"cancel" | "purge">();
  const mayWrite = useMayWrite();
  const clipboard = useClipboard();
  const isOver = hasEnded(run.status);
  return (
    <div className={classes.actions}>
      {run.links.slice(0, 3).map((link) => (
        <Button
          key={link.url}
          component="a"
          href={link.url}
          target="_blank"
          rel="noopener noreferrer"
          className={classes.link ?? ""}
          rightSection={<ExternalLink size={12} aria-hidden />}
        >
          {link.label}
        </Button>
      ))}
      {mayWrite && !isOver && (
        <Button leftSection={<Ban size={13} aria-hidden />} onClick={() => setAsks("cancel")}>
          Cancel
        </Button>
      )}
      <Tooltip label="Details (d)">
        <ActionIcon aria-label="Details of the run" onClick={onDetails}>
          <Info size={16} />
        </ActionIcon>
      </Tooltip>
      <Menu position="bottom-end" width={200}>
        <Menu.Target>
          <ActionIcon aria-label="More actions">
            <Ellipsis size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item leftSection={<Link2 size={14} />} onClick={() => clipboard.copy(location.href)}>
            Copy link to this view
          </Menu.Item>
          {run.links.map((link) => (
            <Menu.Item
              key={link.url}
              component="a"
              href={link.url}
              target="_blank"
              rel="noopener noreferrer"
              leftSection={<ExternalLink size={14} />}
            >
              {link.label}
            </Menu.Item>
          ))}
          {mayWrite && (
            <Menu.Item
              color="red"
              leftSection={<Trash2 size={14} />}
              disabled={!isOver}
              onClick={() => setAsks("purge")}
            >
              Purge the run …
            </Menu.Item>
          )}
        </Menu.Dropdown>
      </Menu>
      <EndDialog run={run} asks={asks} onClose={() => setAsks(undefined)} />
    </div>
  );
}

interface EndDialogProps {
  run: Run;
  asks: "cancel" | "purge" | undefined;
  onClose: () => void;
}

function EndDialog({ run, asks, onClose }: EndDialogProps) {
  const [, navigate] = useLocation();
  const cache = useQueryClient();
  const isPurge = asks === "purge";
  const confirm = async () => {
    if (!isPurge) return client.cancel(run.runId);
    await client.purge(run.runId);
    await cache.invalidateQueries({ queryKey: ["runs"] });
    return navigate("/");
  };
  return (
    <ConfirmDialog
      isOpen={asks !== undefined}
      onClose={onClose}
      title={isPurge ? "Purge this run?" : "Cancel this run?"}
      action={isPurge ? "Purge" : "Cancel the run"}
      onConfirm={confirm}
    >
      <p>
        {isPurge
          ? "Its log, recordings and files are deleted for good. The id stays taken."
          : "Running nodes are ended, waiting ones are not started."}
      </p>
    </ConfirmDialog>
  );
}
