import { Autocomplete } from "@mantine/core";
import { FolderOpen } from "lucide-react";
import { useEffect, useState } from "react";
import { isProject } from "./names";
import classes from "./terminals.module.css";

interface ProjectPickerProps {
  project: string;
  known: readonly string[];
  onChange: (project: string) => void;
}

/** Which project one is in; a new name is a new project. */
export function ProjectPicker({ project, known, onChange }: ProjectPickerProps) {
  const [text, setText] = useState(project);
  useEffect(() => setText(project), [project]);
  const take = (name: string) => {
    if (isProject(name) && name !== project) onChange(name);
  };
  return (
    <Autocomplete
      className={classes.project ?? ""}
      aria-label="Project"
      size="xs"
      leftSection={<FolderOpen size={14} />}
      data={[...new Set([...known, project])]}
      value={text}
      onChange={setText}
      onOptionSubmit={take}
      onBlur={() => (isProject(text) ? take(text) : setText(project))}
      onKeyDown={(event) => {
        if (event.key === "Enter") take(text);
      }}
      error={text !== "" && !isProject(text)}
      spellCheck={false}
    />
  );
}
