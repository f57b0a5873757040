import { useEffect } from "react";
import { useLocation, useSearch } from "wouter";
import { useScope } from "../session/SessionGate";
import { Notice } from "../shell/Notice";
import { TopBar } from "../shell/TopBar";
import { parseTerminalsLink, terminalsLink } from "./link";
import { ProjectPicker } from "./ProjectPicker";
import { ProjectTerminals } from "./ProjectTerminals";
import classes from "./terminals.module.css";
import { useTerminals } from "./useTerminals";

const FIRST_PROJECT = "default";

/** Interactive terminals: a project, and a tab for each of its sessions. */
export default function TerminalsPage() {
  const [path, navigate] = useLocation();
  const search = useSearch();
  const mayRead = useScope("terminals:read");
  const terminals = useTerminals(mayRead);
  const link = parseTerminalsLink(path, search);
  const projects = [...new Set(terminals.data?.sessions.map((session) => session.projectId))].sort();
  const project = link.project ?? projects[0] ?? FIRST_PROJECT;
  useEffect(() => {
    document.title = `Terminals · ${project} · Runcast`;
  }, [project]);

  return (
    <>
      <TopBar>
        {mayRead && (
          <ProjectPicker
            project={project}
            known={projects}
            onChange={(next) => navigate(terminalsLink({ project: next }))}
          />
        )}
      </TopBar>
      {mayRead ? (
        <main id="main" className={classes.page} tabIndex={-1}>
          <ProjectTerminals
            key={project}
            project={project}
            terminals={terminals}
            selected={link.session}
            readonly={link.readonly}
            onSelect={(session) => navigate(terminalsLink({ project, session }), { replace: true })}
          />
        </main>
      ) : (
        <Notice title="No terminals for this login">
          Its token lacks the scope <code>terminals:read</code>.
        </Notice>
      )}
    </>
  );
}
