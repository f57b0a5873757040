import { useEffect } from "react";
import { useLocation, useSearch } from "wouter";
import { useScope } from "../session/SessionGate";
import { NotFound } from "../shell/NotFound";
import { Notice } from "../shell/Notice";
import { TopBar } from "../shell/TopBar";
import { Administration } from "./Administration";
import { parseAdminLink, SECTION_NAMES } from "./link";

/** The administration, for those who may. */
export default function AdminPage() {
  const [path] = useLocation();
  const link = parseAdminLink(path, useSearch());
  const isAdmin = useScope("admin");
  const section = link?.section;
  useEffect(() => {
    if (section !== undefined) document.title = `${SECTION_NAMES[section]} · Administration · Runcast`;
  }, [section]);
  if (link === undefined) return <NotFound />;
  return (
    <>
      <TopBar />
      {isAdmin ? (
        <Administration link={link} />
      ) : (
        <Notice title="No administration for this login">
          Its token lacks the scope <code>admin</code>, which only tokens of the service have, those with{" "}
          <code>tenant = "*"</code>.
        </Notice>
      )}
    </>
  );
}
