/**
 * What the redactor must do, said as plainly as possible and slowly: over the whole text, at every place, every form
 * is compared and every shape tried; overlapping secrets are one mask. Only for tests.
 */
export function redactSlowly(text: Buffer, forms: readonly Buffer[]): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (const { start, end } of secretsIn(text, forms)) {
    parts.push(text.subarray(at, start), Buffer.from('***'));
    at = end;
  }
  return Buffer.concat([...parts, text.subarray(at)]);
}

/** The secrets, overlapping ones joined, in order. */
export function secretsIn(text: Buffer, forms: readonly Buffer[]): { start: number; end: number }[] {
  const joined: { start: number; end: number }[] = [];
  for (const found of occurrences(text, forms)) {
    const last = joined.at(-1);
    if (last && found.start < last.end) last.end = Math.max(last.end, found.end);
    else joined.push({ ...found });
  }
  return joined;
}

/** Every secret that stands anywhere, by where it begins; they may overlap. */
export function occurrences(text: Buffer, forms: readonly Buffer[]): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = [];
  const latin1 = text.toString('latin1');
  const latin1Forms = forms.map((form) => form.toString('latin1'));
  for (let at = 0; at < latin1.length; at++) {
    for (const form of latin1Forms) if (latin1.startsWith(form, at)) found.push({ start: at, end: at + form.length });
    for (const shape of SHAPES) {
      shape.lastIndex = at;
      const match = shape.exec(latin1)?.indices?.groups?.secret;
      if (match) found.push({ start: match[0], end: match[1] });
    }
  }
  return found.sort((a, b) => a.start - b.start);
}

const SHAPES = [
  /(?<secret>(?:gh[pours]_|github_pat_)\w{36,})/dy,
  /(?<secret>A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16,})/dy,
  /(?<secret>x(?:ox[abcdeprs]|app)-[A-Za-z0-9-]{10,})/dy,
  /(?<secret>AIza[\w-]{35,}|ya29\.[\w.-]{20,}|GOCSPX-[\w-]{28,})/dy,
  /(?<secret>gl(?:pa|d|r|pt|cb)t-[\w.-]{20,})/dy,
  /(?<secret>npm_[A-Za-z0-9]{36,}|pypi-AgEI[\w-]{32,}|dckr_pat_[\w-]{20,})/dy,
  /(?<secret>[sr]k_live_[A-Za-z0-9]{16,})/dy,
  /(?<secret>eyJ[\w-]{8,8192}\.[\w.-]{8,})/dy,
  /:\/\/[^:\0-\x20\x7f/?#"'<>\\`]*:(?<secret>[^\0-\x20\x7f/?#"'<>\\`]+)@/dy,
];
