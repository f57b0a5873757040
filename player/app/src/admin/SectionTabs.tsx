import type { AdminStats } from "@runcast/react";
import { Activity, Boxes, type LucideIcon, Radio, SquareTerminal } from "lucide-react";
import { Link } from "wouter";
import { formatCount } from "../format/format";
import shared from "../shell/tab.module.css";
import classes from "./admin.module.css";
import { type AdminLink, adminLink, SECTION_NAMES, SECTIONS, type Section } from "./link";

const ICONS: Record<Section, LucideIcon> = {
  overview: Activity,
  sessions: SquareTerminal,
  actors: Boxes,
  streams: Radio,
};

/** The sections, each with its own address. */
export function SectionTabs({ link, stats }: { link: AdminLink; stats: AdminStats | undefined }) {
  const counts: Partial<Record<Section, number>> = stats
    ? { sessions: stats.sessions.total, streams: stats.streams.viewers }
    : {};
  return (
    <nav className={classes.tabs} aria-label="Sections">
      {SECTIONS.map((section) => {
        const Icon = ICONS[section];
        const count = counts[section];
        return (
          <Link
            key={section}
            href={adminLink({ ...link, section })}
            className={`${shared.tab} ${classes.tab}`}
            aria-current={section === link.section ? "page" : undefined}
          >
            <Icon size={14} aria-hidden />
            {SECTION_NAMES[section]}
            {count !== undefined && <span className={`numbers ${classes.count}`}>{formatCount(count)}</span>}
          </Link>
        );
      })}
    </nav>
  );
}
