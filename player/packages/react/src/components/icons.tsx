import type { ReactNode } from "react";

/** Drawn for 16 × 16 pixels in the colour of the text; decoration for screen readers. */
function Icon({ children }: { children: ReactNode }) {
  return (
    <svg className="rc-icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}

export const PlayIcon = () => (
  <Icon>
    <path d="M4.5 2.6v10.8c0 .5.5.8.9.5l8-5.4a.6.6 0 0 0 0-1l-8-5.4a.6.6 0 0 0-.9.5Z" fill="currentColor" />
  </Icon>
);
export const PauseIcon = () => (
  <Icon>
    <path d="M4 2.5h2.6v11H4zM9.4 2.5H12v11H9.4z" fill="currentColor" />
  </Icon>
);
export const ReplayIcon = () => (
  <Icon>
    <path d="M3.2 8a4.8 4.8 0 1 0 1.6-3.6M3 2.2v3h3" fill="none" stroke="currentColor" strokeWidth="1.6" />
  </Icon>
);
export const StepBackIcon = () => (
  <Icon>
    <path d="M4 3v10M12 3.5v9L6 8z" fill="currentColor" stroke="currentColor" strokeWidth="1.4" />
  </Icon>
);
export const StepForwardIcon = () => (
  <Icon>
    <path d="M12 3v10M4 3.5v9L10 8z" fill="currentColor" stroke="currentColor" strokeWidth="1.4" />
  </Icon>
);
export const CopyIcon = () => (
  <Icon>
    <path d="M5.5 5.5h7v8h-7zM3.5 10.5v-8h7" fill="none" stroke="currentColor" strokeWidth="1.4" />
  </Icon>
);
export const CheckIcon = () => (
  <Icon>
    <path d="m3 8.5 3.2 3.2L13 4.6" fill="none" stroke="currentColor" strokeWidth="1.8" />
  </Icon>
);
export const CrossIcon = () => (
  <Icon>
    <path d="m4 4 8 8M12 4l-8 8" fill="none" stroke="currentColor" strokeWidth="1.8" />
  </Icon>
);
export const DownloadIcon = () => (
  <Icon>
    <path d="M8 2.5v7M4.8 6.6 8 9.8l3.2-3.2M3 13h10" fill="none" stroke="currentColor" strokeWidth="1.5" />
  </Icon>
);
export const FullscreenIcon = () => (
  <Icon>
    <path d="M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3" fill="none" stroke="currentColor" strokeWidth="1.5" />
  </Icon>
);
export const DownIcon = () => (
  <Icon>
    <path d="M8 3v9M4.2 8.4 8 12.2l3.8-3.8" fill="none" stroke="currentColor" strokeWidth="1.6" />
  </Icon>
);
export const ClockIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="5.4" fill="none" stroke="currentColor" strokeWidth="1.4" />
    <path d="M8 5v3.2l2 1.4" fill="none" stroke="currentColor" strokeWidth="1.4" />
  </Icon>
);
export const DotIcon = () => (
  <Icon>
    <circle cx="8" cy="8" r="4" fill="currentColor" />
  </Icon>
);
export const SkipIcon = () => (
  <Icon>
    <path d="M3 8h10" fill="none" stroke="currentColor" strokeWidth="1.8" />
  </Icon>
);
export const WarningIcon = () => (
  <Icon>
    <path d="M8 2.4 14.2 13H1.8zM8 6.4v3M8 11v.6" fill="none" stroke="currentColor" strokeWidth="1.4" />
  </Icon>
);
