/** The keys of the page, as the help shows them. The console has its own, listed here too. */

export interface Shortcut {
  readonly keys: readonly string[];
  readonly does: string;
}

export interface ShortcutGroup {
  readonly title: string;
  readonly shortcuts: readonly Shortcut[];
}

export const SHORTCUT_GROUPS: readonly ShortcutGroup[] = [
  {
    title: "Run",
    shortcuts: [
      { keys: ["j", "k"], does: "Next, previous node" },
      { keys: ["g"], does: "Graph of the run" },
      { keys: ["s"], does: "Split the view, or join it" },
      { keys: ["x"], does: "Close the tab" },
      { keys: ["c"], does: "Collapse or expand the pane" },
      { keys: ["/"], does: "Search the output" },
      { keys: ["n", "N"], does: "Next, previous hit" },
      { keys: ["t"], does: "Trace" },
      { keys: ["d"], does: "Details of the run" },
      { keys: ["e"], does: "To the end, and follow" },
      { keys: ["?"], does: "This help" },
    ],
  },
  {
    title: "Playback, with the focus in the console",
    shortcuts: [
      { keys: ["Space"], does: "Play, pause" },
      { keys: ["←", "→"], does: "5 seconds back, on" },
      { keys: ["Shift ←", "Shift →"], does: "10 % back, on" },
      { keys: ["<", ">"], does: "Slower, faster" },
      { keys: [".", ","], does: "Next, previous output" },
      { keys: ["[", "]"], does: "Previous, next marker" },
      { keys: ["0 … 9"], does: "To 0 % … 90 %" },
      { keys: ["f"], does: "Full screen" },
    ],
  },
];

/** The name of a key press in `useShortcuts`: `j`, `N`, `?`, `Escape`. Undefined with Ctrl, Alt or Meta. */
export function keyName(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "altKey" | "metaKey">,
): string | undefined {
  if (event.ctrlKey || event.altKey || event.metaKey) return undefined;
  return event.key;
}

/** True where keys are text. */
export function takesText(target: Pick<Element, "tagName" | "getAttribute"> | null): boolean {
  if (!target) return false;
  if (target.tagName === "TEXTAREA" || target.tagName === "SELECT") return true;
  if (target.tagName === "INPUT")
    return !["checkbox", "radio", "button"].includes(target.getAttribute("type") ?? "");
  return target.getAttribute("contenteditable") === "true";
}
