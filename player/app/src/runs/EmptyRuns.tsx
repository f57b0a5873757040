import { Button, CopyButton } from "@mantine/core";
import { Check, Copy } from "lucide-react";
import classes from "./empty.module.css";

/** What one sees before there is a run, or when none passes the filters. */
export function EmptyRuns({ isFiltered, onReset }: { isFiltered: boolean; onReset: () => void }) {
  if (isFiltered) {
    return (
      <div className={classes.empty}>
        <h2>No run passes these filters</h2>
        <Button size="sm" onClick={onReset}>
          Show all runs
        </Button>
      </div>
    );
  }
  const file = `name: Hello
nodes:
  - ref: hello
    shell: |
      for word in Hello from a real terminal; do
        printf '\\033[1;36m%s\\033[0m ' "$word"; sleep 0.3
      done`;
  const command = `RUNCAST_SERVER=${location.origin} runcast run hello.yaml`;
  return (
    <div className={classes.empty}>
      <h2>No runs yet</h2>
      <p>Describe one in a file:</p>
      <Snippet title="hello.yaml" text={file} />
      <p>Start it, and it appears here:</p>
      <Snippet title="Shell" text={command} />
    </div>
  );
}

function Snippet({ title, text }: { title: string; text: string }) {
  return (
    <div className={classes.snippet}>
      <div className={classes.snippetHead}>
        <span>{title}</span>
        <CopyButton value={text}>
          {({ copied, copy }) => (
            <Button
              size="compact-xs"
              variant="subtle"
              color="gray"
              onClick={copy}
              leftSection={copied ? <Check size={12} /> : <Copy size={12} />}
            >
              {copied ? "Copied" : "Copy"}
            </Button>
          )}
        </CopyButton>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must be reachable by keyboard */}
      <section className={classes.code} tabIndex={0} aria-label={title}>
        <pre className="mono">{text}</pre>
      </section>
    </div>
  );
}
