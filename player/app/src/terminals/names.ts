/** A name for the next tab of a type: the type, and a number if that is taken. */
export function nextTabName(type: string, taken: readonly string[]): string {
  if (!taken.includes(type)) return type;
  let number = 2;
  while (taken.includes(`${type} ${number}`)) number += 1;
  return `${type} ${number}`;
}

/** What the service takes as a project. */
export function isProject(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(text);
}
