import { MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense } from "react";
import { Redirect, Route, Switch } from "wouter";
import { RunsPage } from "./runs/RunsPage";
import { queries } from "./service";
import { SessionGate } from "./session/SessionGate";
import { ErrorBoundary } from "./shell/ErrorBoundary";
import { NotFound } from "./shell/NotFound";
import { cssVariablesResolver, theme } from "./theme";

// The terminal is most of the code, and the list does not need it.
const RunRoute = lazy(() => import("./run/RunRoute"));
const TerminalsPage = lazy(() => import("./terminals/TerminalsPage"));
const AdminPage = lazy(() => import("./admin/AdminPage"));

/** The page: who one is, then what one looks at. */
export function App() {
  return (
    <MantineProvider theme={theme} cssVariablesResolver={cssVariablesResolver} defaultColorScheme="auto">
      <ErrorBoundary>
        <QueryClientProvider client={queries}>
          <SessionGate>
            <Suspense fallback={null}>
              <Switch>
                <Route path="/" component={RunsPage} />
                <Route path="/runs">
                  <Redirect to="/" replace />
                </Route>
                <Route path="/runs/*?" component={RunRoute} />
                <Route path="/terminals/*?" component={TerminalsPage} />
                <Route path="/admin/*?" component={AdminPage} />
                <Route component={NotFound} />
              </Switch>
            </Suspense>
          </SessionGate>
        </QueryClientProvider>
      </ErrorBoundary>
    </MantineProvider>
  );
}
