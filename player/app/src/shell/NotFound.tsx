import { useLocation } from "wouter";
import { Notice } from "./Notice";
import { TopBar } from "./TopBar";

/** For addresses that lead nowhere. */
export function NotFound() {
  const [path, navigate] = useLocation();
  return (
    <>
      <TopBar />
      <Notice title="There is nothing here" action="All runs" onAction={() => navigate("/")}>
        No page has the address <code className="mono">{path}</code>.
      </Notice>
    </>
  );
}
