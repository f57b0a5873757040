import { createContext, useContext } from "react";

export interface AdminView {
  /** The instance that is shown; empty before it is known. */
  readonly instance: string;
  /** The same where the service has to be told which: not if there is only one. */
  readonly asked: string | undefined;
  /** Where clients reach it, if it is not the one that answers. */
  readonly elsewhere: string | undefined;
  /** False before it is known whom to ask. */
  readonly isReady: boolean;
  /** True while nothing is asked for. */
  readonly isPaused: boolean;
}

export const AdminContext = createContext<AdminView>({
  instance: "",
  asked: undefined,
  elsewhere: undefined,
  isReady: false,
  isPaused: false,
});

export function useAdmin(): AdminView {
  return useContext(AdminContext);
}

/** True while the banner of the page says why there are no newer figures. */
export const PageTroubleContext = createContext(false);
