import { Button, CloseButton, TextInput } from "@mantine/core";
import { Tag, Workflow } from "lucide-react";
import { type FormEvent, useEffect, useState } from "react";
import { StatusIcon } from "../status/StatusIcon";
import { lookOf } from "../status/status";
import { hasFilters, isLabel, NO_FILTERS, RUN_STATUSES, type RunFilters, toggled } from "./filters";
import classes from "./runs.module.css";

interface RunFilterBarProps {
  filters: RunFilters;
  onChange: (filters: RunFilters) => void;
}

/** Status, workflow and labels. */
export function RunFilterBar({ filters, onChange }: RunFilterBarProps) {
  return (
    <search className={classes.filters} aria-label="Filter runs">
      <fieldset className={classes.statuses}>
        <legend className="visually-hidden">Status</legend>
        {RUN_STATUSES.map((status) => (
          <button
            type="button"
            key={status}
            className={classes.toggle}
            aria-pressed={filters.statuses.includes(status)}
            onClick={() => onChange({ ...filters, statuses: toggled(filters.statuses, status) })}
          >
            <StatusIcon status={status} size={14} />
            {lookOf(status).label}
          </button>
        ))}
      </fieldset>
      <WorkflowField filters={filters} onChange={onChange} />
      <LabelField filters={filters} onChange={onChange} />
      {filters.labels.map((label) => (
        <span key={label} className={classes.pickedLabel}>
          {label}
          <CloseButton
            size={18}
            aria-label={`Remove the label ${label}`}
            onClick={() => onChange({ ...filters, labels: toggled(filters.labels, label) })}
          />
        </span>
      ))}
      {hasFilters(filters) && (
        <Button variant="subtle" color="gray" onClick={() => onChange(NO_FILTERS)}>
          Reset
        </Button>
      )}
    </search>
  );
}

function WorkflowField({ filters, onChange }: RunFilterBarProps) {
  const [text, setText] = useState(filters.workflowId);
  useEffect(() => setText(filters.workflowId), [filters.workflowId]);
  const apply = (event?: FormEvent) => {
    event?.preventDefault();
    if (text.trim() !== filters.workflowId) onChange({ ...filters, workflowId: text.trim() });
  };
  return (
    <form onSubmit={apply}>
      <TextInput
        aria-label="Workflow"
        placeholder="Workflow"
        leftSection={<Workflow size={14} />}
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={() => apply()}
        w={150}
      />
    </form>
  );
}

function LabelField({ filters, onChange }: RunFilterBarProps) {
  const [text, setText] = useState("");
  const [error, setError] = useState<string>();
  const add = (event: FormEvent) => {
    event.preventDefault();
    const label = text.trim();
    if (label === "") return;
    if (!isLabel(label)) {
      setError("As name:value");
      return;
    }
    setText("");
    setError(undefined);
    onChange({ ...filters, labels: [...new Set([...filters.labels, label])] });
  };
  return (
    <form onSubmit={add}>
      <TextInput
        aria-label="Label"
        placeholder="Label name:value"
        leftSection={<Tag size={14} />}
        value={text}
        error={error}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setError(undefined);
        }}
        w={170}
      />
    </form>
  );
}
