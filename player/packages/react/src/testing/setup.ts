import { configure } from "@testing-library/react";

/** A busy machine is slow; a test that waits fails no sooner for it. */
export const WAIT_MS = 15_000;

configure({ asyncUtilTimeout: WAIT_MS });
