import { ActionIcon, Menu, Tooltip } from "@mantine/core";
import { ChevronRight, Keyboard, LogOut, UserRound } from "lucide-react";
import { type ReactNode, useState } from "react";
import { Link, useLocation } from "wouter";
import { useShortcuts } from "../keyboard/useShortcuts";
import { useLogout, useScope, useSession } from "../session/SessionGate";
import { ColorSchemeMenu } from "./ColorSchemeMenu";
import { HelpDialog } from "./HelpDialog";
import classes from "./shell.module.css";
import { Wordmark } from "./Wordmark";

/** The line above everything: where one is, and what concerns the whole page. */
export function TopBar({ title, children }: { title?: string; children?: ReactNode }) {
  const [isHelpOpen, setIsHelpOpen] = useState(false);
  useShortcuts({ "?": () => setIsHelpOpen(true) });
  return (
    <header className={classes.bar}>
      <a className={classes.skip} href="#main">
        Skip to content
      </a>
      <nav className={classes.trail} aria-label="Breadcrumb">
        <Link href="/" className={classes.home} aria-label="Runcast, all runs">
          <Wordmark />
        </Link>
        {title === undefined ? (
          <Areas />
        ) : (
          <>
            <ChevronRight size={14} className={classes.faint} aria-hidden />
            <Link href="/" className={classes.crumb}>
              Runs
            </Link>
            <ChevronRight size={14} className={classes.faint} aria-hidden />
            <span className={classes.current} aria-current="page">
              {title}
            </span>
          </>
        )}
      </nav>
      <div className={classes.tools}>
        {children}
        <Tooltip label="Keyboard shortcuts (?)">
          <ActionIcon
            className={classes.keyboard ?? ""}
            aria-label="Keyboard shortcuts"
            onClick={() => setIsHelpOpen(true)}
          >
            <Keyboard size={16} />
          </ActionIcon>
        </Tooltip>
        <ColorSchemeMenu />
        <UserMenu />
      </div>
      <HelpDialog isOpen={isHelpOpen} onClose={() => setIsHelpOpen(false)} />
    </header>
  );
}

/** The parts of the page that the caller may see. */
function Areas() {
  const [path] = useLocation();
  const hasTerminals = useScope("terminals:read");
  const isAdmin = useScope("admin");
  const areas = [
    { href: "/", name: "Runs", isShown: true, isHere: path === "/" },
    { href: "/terminals", name: "Terminals", isShown: hasTerminals, isHere: path.startsWith("/terminals") },
    { href: "/admin", name: "Admin", isShown: isAdmin, isHere: path.startsWith("/admin") },
  ].filter((area) => area.isShown);
  return (
    <span className={classes.areas}>
      {areas.map(({ href, name, isHere }) => (
        <Link key={href} href={href} className={classes.area} aria-current={isHere ? "page" : undefined}>
          {name}
        </Link>
      ))}
    </span>
  );
}

function UserMenu() {
  const session = useSession();
  const logout = useLogout();
  if (!session || session.mode === "none") return null;
  const name = session.user ?? session.tenant;
  return (
    <Menu position="bottom-end" width={220}>
      <Menu.Target>
        <ActionIcon aria-label={`Signed in as ${name}`}>
          <UserRound size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {name} · tenant {session.tenant}
          <br />
          <span className="mono">{session.scopes.join(" ")}</span>
        </Menu.Label>
        <Menu.Item leftSection={<LogOut size={14} />} onClick={logout}>
          Sign out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
