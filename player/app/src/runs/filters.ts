/** What the list of runs shows, as it stands in the address of the page. */
import type { RunStatus } from "@runcast/react";

export const RUN_STATUSES: readonly RunStatus[] = [
  "RUNNING",
  "QUEUED",
  "COMPLETED",
  "FAILED",
  "TIMED_OUT",
  "CANCELLED",
];

export interface RunFilters {
  /** Any of these; all, if empty. */
  readonly statuses: readonly RunStatus[];
  /** The whole `workflowId`; all, if empty. */
  readonly workflowId: string;
  /** `name:value`; a run has all of them. */
  readonly labels: readonly string[];
}

export const NO_FILTERS: RunFilters = { statuses: [], workflowId: "", labels: [] };

/** Reads the query of the page; what it does not know it ignores. */
export function parseFilters(search: string): RunFilters {
  const query = new URLSearchParams(search);
  const statuses = (query.get("status") ?? "").split(",");
  return {
    statuses: RUN_STATUSES.filter((status) => statuses.includes(status)),
    workflowId: query.get("workflow")?.trim() ?? "",
    labels: [...new Set(query.getAll("label").filter(isLabel))],
  };
}

/** Writes it: without a leading `?`, empty without filters. */
export function formatFilters(filters: RunFilters): string {
  const query = new URLSearchParams();
  if (filters.statuses.length > 0) query.set("status", filters.statuses.join(","));
  if (filters.workflowId !== "") query.set("workflow", filters.workflowId);
  for (const label of filters.labels) query.append("label", label);
  return query.toString().replaceAll("%2C", ",").replaceAll("%3A", ":");
}

/** The same as parameters of `GET /runs`. */
export function filterQuery(filters: RunFilters, limit: number): URLSearchParams {
  const query = new URLSearchParams({ limit: String(limit) });
  if (filters.statuses.length > 0) query.set("status", filters.statuses.join(","));
  if (filters.workflowId !== "") query.set("workflowId", filters.workflowId);
  for (const label of filters.labels) query.append("label", label);
  return query;
}

/** `name:value`, both there. */
export function isLabel(text: string): boolean {
  return /^[^:\s]+:\S.*$/.test(text);
}

export function hasFilters(filters: RunFilters): boolean {
  return filters.statuses.length > 0 || filters.workflowId !== "" || filters.labels.length > 0;
}

/** Adds what is missing, takes away what is there. */
export function toggled<Value>(values: readonly Value[], value: Value): Value[] {
  return values.includes(value) ? values.filter((other) => other !== value) : [...values, value];
}
