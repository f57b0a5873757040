import type { AdminInstance } from "@runcast/react";
import { useState } from "react";
import type { AdminView } from "./AdminContext";
import { chooseInstance, nameOf, rowOf } from "./instances";
import { readInstances } from "./requests";
import { usePolling } from "./usePolling";

const LIST_MS = 10_000;

export interface Instances extends Omit<AdminView, "isPaused"> {
  list: readonly AdminInstance[];
  /** True if the wanted one is not there. */
  isOther: boolean;
}

/** The instances on the same database, and the one that is shown. */
export function useInstances(wanted: string | undefined, isPaused: boolean): Instances {
  const { data, trouble } = usePolling({
    key: ["instances"],
    subject: "",
    read: (signal) => readInstances({ instance: undefined, signal }),
    everyMs: LIST_MS,
    isPaused,
  });
  const [before, setBefore] = useState<string>();
  if (data === undefined) {
    // Where the database is away, the instance that answers can still tell of itself.
    const isReady = trouble !== undefined;
    return { list: [], instance: wanted ?? "", asked: wanted, elsewhere: undefined, isReady, isOther: false };
  }
  const instance = chooseInstance(data, wanted, before);
  if (instance !== before) setBefore(instance);
  return {
    list: [...data.instances].sort((one, other) => nameOf(one).localeCompare(nameOf(other), "en")),
    instance,
    asked: data.instances.length > 1 ? instance : undefined,
    elsewhere: instance === data.instance ? undefined : rowOf(data, instance)?.url,
    isReady: true,
    isOther: wanted !== undefined && wanted !== instance,
  };
}
