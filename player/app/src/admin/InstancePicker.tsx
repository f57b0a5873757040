import { Select } from "@mantine/core";
import type { AdminInstance } from "@runcast/react";
import { Server } from "lucide-react";
import { formatDuration } from "../format/format";
import classes from "./admin.module.css";
import { mayBeGone, nameOf } from "./data/instances";

interface InstancePickerProps {
  list: readonly AdminInstance[];
  instance: string;
  onPick: (instance: string) => void;
}

/** Which instance is shown; nothing to pick where there is only one. */
export function InstancePicker({ list, instance, onPick }: InstancePickerProps) {
  if (list.length < 2) {
    const only = list[0];
    return only === undefined ? null : (
      <span className={classes.instance} title={`${only.url}, role ${only.role}`}>
        <Server size={13} aria-hidden /> {nameOf(only)}
      </span>
    );
  }
  return (
    <Select
      className={classes.picker ?? ""}
      aria-label="Instance"
      leftSection={<Server size={14} />}
      data={list.map((row) => ({ value: row.id, label: labelOf(row) }))}
      value={instance}
      onChange={(picked) => picked !== null && onPick(picked)}
      allowDeselect={false}
      comboboxProps={{ width: "max-content", position: "bottom-end" }}
    />
  );
}

function labelOf(row: AdminInstance): string {
  const silence = mayBeGone(row) ? `, not seen for ${formatDuration(row.unseenSecs * 1000)}` : "";
  return `${nameOf(row)} (${row.role}${silence})`;
}
