/** What the administration asks of the service. */
import type {
  AdminActors,
  AdminCleanup,
  AdminInstances,
  AdminMemory,
  AdminSessions,
  AdminStats,
  AdminStreams,
} from "@runcast/react";
import { client } from "../../service";
import type { Range } from "../link";

export interface Asked {
  /** Another instance to ask; undefined: the one that answers. */
  instance: string | undefined;
  signal?: AbortSignal;
}

/** A page of a list. */
interface Page {
  limit: number;
  cursor: string | undefined;
}

export const readInstances = (asked: Asked) => ask<AdminInstances>("instances", {}, asked);
export const readStats = (asked: Asked) => ask<AdminStats>("stats", {}, asked);
export const readMemory = (asked: Asked, history?: Range) => ask<AdminMemory>("memory", { history }, asked);
export const readSessions = (asked: Asked, page: Page) => ask<AdminSessions>("sessions", page, asked);
export const readActors = (asked: Asked, page: Page) => ask<AdminActors>("actors", page, asked);
export const readStreams = (asked: Asked, page: Page) => ask<AdminStreams>("streams", page, asked);
export const cleanUp = (asked: Asked) => ask<AdminCleanup>("cleanup", {}, asked, "POST");

async function ask<T>(name: string, query: object, { instance, signal }: Asked, method = "GET"): Promise<T> {
  const init = { method, ...(signal === undefined ? {} : { signal }) };
  const response = await client.request(`/admin/${name}`, { ...query, instance }, init);
  return (await response.json()) as T;
}
