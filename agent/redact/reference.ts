/**
 * What the redactor must do, said as plainly as possible and slowly: over the whole text, at every place, every form
 * is compared and every shape tried; overlapping secrets are one mask. Private keys go first. Only for tests.
 */
export function redactSlowly(text: Buffer, forms: readonly Buffer[]): Buffer {
  return maskSlowly(maskKeysSlowly(text), forms);
}

/** Without private keys. */
function maskSlowly(text: Buffer, forms: readonly Buffer[]): Buffer {
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
  /(?<secret>krt_[A-Za-z0-9]{69,})/dy,
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

/** Private keys masked: the text is taken apart into keys, and each key into words and what stands between them. */
export function maskKeysSlowly(text: Buffer): Buffer {
  let rest = text.toString('latin1');
  let masked = '';
  for (let mark = KEY_MARK.exec(rest); mark !== null; mark = KEY_MARK.exec(rest)) {
    const behind = mark.index + mark[0].length;
    masked += rest.slice(0, behind);
    const key = maskKey(rest.slice(behind));
    masked += key.masked;
    // Of another mark that begins all is looked at again.
    rest = key.next + rest.slice(behind + key.bytes);
    if (key.next !== '') masked = masked.slice(0, -key.next.length);
  }
  return Buffer.from(masked + rest, 'latin1');
}

const COLOUR_BEGUN = /\x1b\[[0-9;]*$/;
const KEY_MARK = /-----BEGIN [A-Z0-9 ]{0,64}PRIVATE KEY(?: BLOCK)?-----/;

/** What follows a mark: masked up to where the key is over, how much that was, and what of it is to be read again. */
function maskKey(text: string): { masked: string; bytes: number; next: string } {
  const WORD = /[\w+/=](?<!_)(?:[\w+/=](?<!_)|\\{1,8}\/)*/y;
  let masked = '';
  let line = '';
  let lines: { digits: number; column: number; distance: number } | undefined;
  let wordEnd = 0;
  let short = false;
  let otherLines = 0;
  let lineStart = NaN;
  let lineHasKey = false;
  for (let at = 0; at < text.length;) {
    WORD.lastIndex = at;
    const isOther = (/\\$/.test(line) && /[nrt]/.test(text[at])) || COLOUR_BEGUN.test(line);
    const word = isOther ? undefined : WORD.exec(text)?.[0];
    if (word === undefined) {
      const char = text[at++];
      masked += char;
      line = char === '\n' ? '' : line + char;
      if (char === '\n') {
        otherLines = lineHasKey ? 0 : otherLines + 1;
        lineHasKey = false;
        lineStart = at;
        if (otherLines > 8) return { masked, bytes: at, next: '' };
      }
      continue;
    }
    if (at >= 65536 && !line.endsWith('-')) return { masked, bytes: at, next: '' };
    const behind = text[at + word.length] as string | undefined;
    const digits = word.replaceAll('\\', '').length;
    const newLine = lineStart > wordEnd;
    const column = at - lineStart;
    const distance = at - wordEnd;
    const there = newLine
      ? column === lines?.column && !/[ :._[]/.test(behind ?? '')
      : distance === lines?.distance && !line.endsWith('-');
    const isKey =
      digits >= (lines ? 60 : 16) || digits === lines?.digits || (there && (!short || word.startsWith('=')));
    at += word.length;
    line += word;
    if (isKey) {
      masked += '***';
      short = digits < (lines?.digits ?? 0);
      if (!short) lines = { digits, column, distance };
      wordEnd = at;
      lineHasKey = true;
    } else {
      masked += word;
      if (behind === ' ' && /-----(?:BEGIN|END)$/.test(line)) {
        const next = word === 'BEGIN' ? '-----BEGIN ' : '';
        return { masked: `${masked} `, bytes: at + 1, next };
      }
    }
  }
  return { masked, bytes: text.length, next: '' };
}
