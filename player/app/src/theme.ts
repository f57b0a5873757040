import { type CSSVariablesResolver, createTheme, type MantineColorsTuple } from "@mantine/core";

/** The amber of an old phosphor screen. */
const amber: MantineColorsTuple = [
  "#fff7e6",
  "#ffedc7",
  "#ffdf9e",
  "#ffd06f",
  "#ffc147",
  "#ffb224",
  "#e69a0d",
  "#b87700",
  "#8a5200",
  "#5c3600",
];

/** Warm greys; the last four are page, panel and what lies above it. */
const dark: MantineColorsTuple = [
  "#e8e6e1",
  "#c9c6be",
  "#a5a29a",
  "#8b8880",
  "#3a4048",
  "#272b31",
  "#1a1d21",
  "#121417",
  "#0c0d0f",
  "#08090a",
];

/** The head of a dialog is no banner of the page. */
const DIALOG = { header: { role: "presentation" } };

export const theme = createTheme({
  colors: { amber, dark },
  primaryColor: "amber",
  primaryShade: { light: 5, dark: 5 },
  autoContrast: true,
  cursorType: "pointer",
  defaultRadius: 6,
  fontFamily:
    "'Inter Variable', ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif",
  fontFamilyMonospace:
    "'JetBrains Mono Variable', ui-monospace, 'Cascadia Code', Menlo, Consolas, 'DejaVu Sans Mono', monospace",
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  headings: { fontWeight: "600" },
  focusClassName: "focus-ring",
  components: {
    Button: { defaultProps: { size: "xs", variant: "default" } },
    ActionIcon: { defaultProps: { size: 28, variant: "subtle", color: "gray" } },
    TextInput: { defaultProps: { size: "xs" } },
    Select: { defaultProps: { size: "xs" } },
    SegmentedControl: { defaultProps: { size: "xs" } },
    Tooltip: { defaultProps: { openDelay: 350, withArrow: false, fz: 12, multiline: true } },
    Menu: { defaultProps: { shadow: "md", withinPortal: true } },
    Modal: {
      defaultProps: {
        centered: true,
        overlayProps: { backgroundOpacity: 0.55, blur: 2 },
        attributes: DIALOG,
      },
    },
    Drawer: { defaultProps: { attributes: DIALOG } },
  },
});

/** Mantine's own colours follow the tokens of the page. */
export const cssVariablesResolver: CSSVariablesResolver = () => {
  const shared = {
    "--mantine-color-body": "var(--panel)",
    "--mantine-color-text": "var(--text)",
    "--mantine-color-error": "var(--status-failed)",
    "--mantine-color-dimmed": "var(--dim)",
    "--mantine-color-placeholder": "var(--faint)",
    "--mantine-color-anchor": "var(--accent-text)",
    "--mantine-color-default": "var(--raised)",
    "--mantine-color-default-hover": "var(--hover)",
    "--mantine-color-default-color": "var(--text)",
    "--mantine-color-default-border": "var(--line-strong)",
    "--mantine-color-gray-light-color": "var(--dim)",
  };
  return { variables: {}, light: shared, dark: shared };
};
