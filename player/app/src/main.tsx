import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "@mantine/core/styles.layer.css";
import "@runcast/react/styles.css";
import "./styles/tokens.css";
import "./styles/base.css";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { reloadOnce } from "./reloadOnce";
import { telemetry } from "./service";

// What was counted must not be lost with the page.
addEventListener("pagehide", () => telemetry.flush());

// A part of the page that did not come: the connection was cut, or the service has another version by now.
addEventListener("vite:preloadError", (event) => {
  if (reloadOnce(sessionStorage, Date.now(), () => location.reload())) event.preventDefault();
});

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
