/** A sentence of the service: what stands in backquotes is a name. */
export function Prose({ text }: { text: string }) {
  // The parts never change their order, so their place is their key.
  const parts = text.split("`").map((part, place) => ({ part, place }));
  return parts.map(({ part, place }) =>
    place % 2 === 1 ? (
      <code key={place} className="mono">
        {part}
      </code>
    ) : (
      part
    ),
  );
}
