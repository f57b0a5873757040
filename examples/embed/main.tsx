import { RunConsole } from "@runcast/react";
import "@runcast/react/styles.css";
import { createRoot } from "react-dom/client";

/** Asks this page's own backend, which knows who is logged in here and which runs they may see. */
async function getToken(): Promise<string> {
  const response = await fetch(`/token?run=${encodeURIComponent(runId)}`);
  if (!response.ok) throw new Error(await response.text());
  return response.text();
}

function Page() {
  return (
    <>
      <h1>Nightly scan</h1>
      <p>Somebody else's page; the console below is Runcast's.</p>
      <RunConsole runId={runId} baseUrl="http://127.0.0.1:7420" getToken={getToken} theme="auto" />
    </>
  );
}

const runId = new URLSearchParams(location.search).get("run") ?? "";
const main = document.getElementById("main");
if (main !== null) createRoot(main).render(runId === "" ? <p>Add ?run=RUN to the address.</p> : <Page />);
