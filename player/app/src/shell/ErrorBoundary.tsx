import { Component, type ReactNode } from "react";
import { telemetry } from "../service";
import { Notice } from "./Notice";

interface State {
  error: unknown;
}

/** Shows what broke instead of an empty page, and counts it. */
export class ErrorBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { error: undefined };

  static getDerivedStateFromError(error: unknown): State {
    return { error: error ?? new Error("unknown") };
  }

  override componentDidCatch(): void {
    telemetry.count("player_error");
    telemetry.flush();
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    return (
      <Notice title="This page broke" action="Load it again" onAction={() => location.reload()}>
        Nothing is lost: runs and recordings are kept by the service.
        <pre className="mono">{error instanceof Error ? error.message : String(error)}</pre>
      </Notice>
    );
  }
}
