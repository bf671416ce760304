/** What stands in a URL behind `?`; a list is given as often as it has members, undefined not at all. */
export type Query = Record<string, string | number | boolean | readonly string[] | undefined>;

/** As text, with the `?`; empty if there is nothing. */
export function searchOf(query: Query): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? (value as readonly string[]) : [value]) params.append(name, String(one));
  }
  const text = params.toString();
  return text === '' ? '' : `?${text}`;
}
