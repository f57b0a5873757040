import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./shell.module.css";

interface NoticeProps {
  title: string;
  children: ReactNode;
  /** What one can do about it. */
  action?: string;
  onAction?: () => void;
}

/** One thing to say, in the middle of the page. */
export function Notice({ title, children, action, onAction }: NoticeProps) {
  return (
    <main id="main" tabIndex={-1} className={classes.notice}>
      <h1>{title}</h1>
      <div className={classes.noticeText}>{children}</div>
      {action && (
        <Button size="sm" onClick={onAction}>
          {action}
        </Button>
      )}
    </main>
  );
}
