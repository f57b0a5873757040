import type { ITheme } from "@xterm/xterm";

/** Colours of the terminal; those around it are in styles.css and have the same background. */
export const DARK_TERMINAL: ITheme = {
  background: "#0c0f14",
  foreground: "#d5dbe5",
  cursor: "#7aa2ff",
  cursorAccent: "#0c0f14",
  selectionBackground: "#33518a",
  scrollbarSliderBackground: "#ffffff1f",
  scrollbarSliderHoverBackground: "#ffffff33",
  scrollbarSliderActiveBackground: "#ffffff4d",
  black: "#1f2630",
  red: "#ff6f73",
  green: "#5fd38d",
  yellow: "#e8c15a",
  blue: "#6ea8fe",
  magenta: "#d58cf5",
  cyan: "#52cfd9",
  white: "#c9d1dc",
  brightBlack: "#768292",
  brightRed: "#ff9a9c",
  brightGreen: "#8be9b0",
  brightYellow: "#f7da8a",
  brightBlue: "#9cc5ff",
  brightMagenta: "#e8b5ff",
  brightCyan: "#8ae8ee",
  brightWhite: "#f5f8fc",
};

export const LIGHT_TERMINAL: ITheme = {
  background: "#fcfcfd",
  foreground: "#1d2530",
  cursor: "#2b5fd9",
  cursorAccent: "#fcfcfd",
  selectionBackground: "#b9d0fb",
  scrollbarSliderBackground: "#0000001f",
  scrollbarSliderHoverBackground: "#00000033",
  scrollbarSliderActiveBackground: "#0000004d",
  black: "#1d2530",
  red: "#c0262d",
  green: "#137a3f",
  yellow: "#8a5a00",
  blue: "#1f57c8",
  magenta: "#8a2fb8",
  cyan: "#08717c",
  white: "#5d6875",
  brightBlack: "#5d6875",
  brightRed: "#d63a40",
  brightGreen: "#1a8a4b",
  brightYellow: "#9a6a05",
  brightBlue: "#3269dd",
  brightMagenta: "#9f46cc",
  brightCyan: "#12808c",
  brightWhite: "#353f4b",
};

/** Light backgrounds make many colours of programs unreadable; the contrast of AA is kept there. */
export const LIGHT_CONTRAST = 4.5;
