import { ApiError } from "@runcast/react";
import { messageOf } from "../../service";

/** Why there is no newer answer, for people. */
export function tellTrouble(error: unknown): string {
  if (!(error instanceof ApiError)) return "The service sends what is no answer.";
  if (error.status === 0) return "The service does not answer.";
  if (error.status === 401) return "The service asks for a login.";
  if (error.status === 403)
    return "This login lacks the scope admin, which only tokens of the service have (tenant “*”).";
  if (error.status === 429) return "The service has too much to do to answer.";
  if (error.status >= 500) return `The service cannot answer: ${error.message}.`;
  return messageOf(error);
}
