import { Button } from "@mantine/core";
import { ChevronLeft, ChevronRight } from "lucide-react";
import type { Pages } from "../data/usePages";
import classes from "./table.module.css";

interface PagerProps {
  pages: Pages;
  nextCursor: string | null | undefined;
  isLoading: boolean;
}

/** Goes from page to page; nothing where there is only one. */
export function Pager({ pages, nextCursor, isLoading }: PagerProps) {
  if (pages.number === 1 && nextCursor == null) return null;
  return (
    <nav className={classes.pager} aria-label="Pages">
      <Button leftSection={<ChevronLeft size={14} />} disabled={pages.number === 1} onClick={pages.previous}>
        Previous page
      </Button>
      <span className="numbers" aria-live="polite">
        Page {pages.number}
      </span>
      <Button
        rightSection={<ChevronRight size={14} />}
        disabled={nextCursor == null}
        loading={isLoading}
        onClick={() => nextCursor != null && pages.next(nextCursor)}
      >
        Next page
      </Button>
    </nav>
  );
}
