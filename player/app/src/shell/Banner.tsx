import { Button } from "@mantine/core";
import type { ReactNode } from "react";
import classes from "./shell.module.css";

interface BannerProps {
  children: ReactNode;
  tone?: "failed" | "warning";
  /** What one can do about it. */
  action?: string;
  onAction?: () => void;
}

/** What is wrong, above what it concerns. */
export function Banner({ children, tone = "failed", action, onAction }: BannerProps) {
  return (
    <div className={classes.banner} data-tone={tone} role="alert">
      <span>{children}</span>
      {action && <Button onClick={onAction}>{action}</Button>}
    </div>
  );
}
