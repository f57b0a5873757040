import "@fontsource-variable/inter/wght.css";
import "@fontsource-variable/jetbrains-mono/wght.css";
import "@mantine/core/styles.layer.css";
import "@runcast/react/styles.css";
import "./styles/tokens.css";
import "./styles/base.css";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { telemetry } from "./service";

// What was counted must not be lost with the page.
addEventListener("pagehide", () => telemetry.flush());

const root = document.getElementById("root");
if (root) createRoot(root).render(<App />);
