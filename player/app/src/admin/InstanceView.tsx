import type { AdminInstance } from "@runcast/react";
import { useLocation } from "wouter";
import { formatClock } from "../format/format";
import { Prose } from "../format/Prose";
import { Banner } from "../shell/Banner";
import { ActorsSection } from "./actors/ActorsSection";
import classes from "./admin.module.css";
import { CleanUp } from "./CleanUp";
import { PageTroubleContext, useAdmin } from "./data/AdminContext";
import { tellTrouble } from "./data/trouble";
import { useVitals, type Vitals } from "./data/useVitals";
import { InstancePicker } from "./InstancePicker";
import { type AdminLink, adminLink } from "./link";
import { OverviewSection } from "./overview/OverviewSection";
import { RefreshState } from "./RefreshState";
import { SectionTabs } from "./SectionTabs";
import { SessionsSection } from "./sessions/SessionsSection";
import { StreamsSection } from "./streams/StreamsSection";

interface InstanceViewProps {
  link: AdminLink;
  list: readonly AdminInstance[];
  /** True if the address names another one, which is not there. */
  isOther: boolean;
  onPause: (isPaused: boolean) => void;
}

/** The head of the page, and one of its sections. */
export function InstanceView({ link, list, isOther, onPause }: InstanceViewProps) {
  const [, navigate] = useLocation();
  const { instance, isPaused } = useAdmin();
  const vitals = useVitals();
  const { stats, memory } = vitals;
  const trouble = stats.trouble ?? memory.trouble;
  const go = (change: Partial<AdminLink>) => navigate(adminLink({ ...link, ...change }), { replace: true });
  return (
    <main id="main" className={classes.page} tabIndex={-1}>
      <header className={classes.head}>
        <h1 className={classes.title}>Administration</h1>
        <RefreshState
          updatedAt={Math.min(stats.updatedAt, memory.updatedAt)}
          hasTrouble={trouble !== undefined}
          isPaused={isPaused}
          onPause={onPause}
        />
        <div className={classes.tools}>
          <InstancePicker list={list} instance={instance} onPick={(picked) => go({ instance: picked })} />
          <CleanUp stats={stats.data} />
        </div>
      </header>
      <SectionTabs link={link} stats={stats.data} />
      <div className={classes.content}>
        {trouble !== undefined && (
          <Banner>
            <Prose text={tellTroubleOf(trouble, stats.updatedAt)} />
          </Banner>
        )}
        {isOther && (
          <Banner tone="warning" action="Show this one" onAction={() => go({ instance: undefined })}>
            There is no instance {link.instance} any more. This is {instance}.
          </Banner>
        )}
        <PageTroubleContext value={trouble !== undefined}>
          <SectionOf key={instance} link={link} vitals={vitals} onLink={go} />
        </PageTroubleContext>
      </div>
    </main>
  );
}

/** What is wrong, and how old what is shown is. */
function tellTroubleOf(trouble: unknown, updatedAt: number): string {
  const clock = formatClock(new Date(updatedAt).toISOString()).slice(0, 8);
  const shown = updatedAt === 0 ? "It is asked again" : `What is shown is of ${clock}; it is asked again`;
  return `${tellTrouble(trouble)} ${shown} every few seconds.`;
}

interface SectionOfProps {
  link: AdminLink;
  vitals: Vitals;
  onLink: (change: Partial<AdminLink>) => void;
}

function SectionOf({ link, vitals, onLink }: SectionOfProps) {
  switch (link.section) {
    case "overview":
      return <OverviewSection vitals={vitals} link={link} onRange={(range) => onLink({ range })} />;
    case "sessions":
      return <SessionsSection />;
    case "actors":
      return <ActorsSection />;
    case "streams":
      return <StreamsSection />;
  }
}
