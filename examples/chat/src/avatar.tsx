/** The first letter of a name, in a colour of its own. */
export function Avatar({ name }: { readonly name: string }) {
  return (
    <span
      className="avatar"
      style={{ '--hue': hueOf(name) } as React.CSSProperties}
      aria-hidden="true"
    >
      {[...name][0]}
    </span>
  );
}

/** A colour for each name: degrees on the colour wheel, the same on every screen. */
export function hueOf(name: string): number {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 360;
  return sum;
}
