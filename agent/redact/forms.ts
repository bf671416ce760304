/** A secret shorter than this many characters is none: it would mask ordinary words. */
export const MIN_SECRET_CHARS = 8;

/** Line lengths at which base64 is wrapped: by `base64` and MIME, and in PEM. */
const BASE64_COLUMNS = [76, 64];

/**
 * Every way in which a secret is likely to be printed, as distinct bytes without a newline: as it is, escaped for JSON,
 * a shell or a URL, in hexadecimal, and within base64 of anything that contains it, also if that is wrapped. Of a value
 * with several lines, each one too.
 * None if the value has fewer than MIN_SECRET_CHARS characters, blanks around it not counted.
 */
export function formsOf(value: string): Buffer[] {
  const secret = value.toWellFormed().trim();
  if (secret.length < MIN_SECRET_CHARS) return [];
  const inHex = hex(secret);
  const forms = new Set([...escaped(secret), inHex, inHex.toUpperCase(), ...encoded(Buffer.from(secret))]);
  for (const line of secret.split('\n').map((text) => text.trim())) {
    if (line.length >= MIN_SECRET_CHARS && !PEM_BOUNDARY.test(line)) for (const form of escaped(line)) forms.add(form);
  }
  return [...forms].filter((form) => !form.includes('\n')).map((form) => Buffer.from(form));
}

/** The lines around a key are the same for every key. */
const PEM_BOUNDARY = /^-----(BEGIN|END) [A-Z0-9 ]+-----$/;

function escaped(secret: string): string[] {
  return [secret, secret.replaceAll("'", "'\\''"), ...json(secret), ...url(secret)];
}

/** As different writers of JSON escape: JavaScript; PHP (`/`); Python (all but ASCII); Go (HTML). Once, or in JSON again. */
function json(secret: string): string[] {
  const plain = JSON.stringify(secret).slice(1, -1);
  const once = [
    plain,
    plain.replaceAll('/', '\\/'),
    ...[/[^\0-\x7f]/g, /[<>&\u2028\u2029]/g, /[<>&'+]|[^\0-\x7f]/g].flatMap((escaped) => [
      plain.replaceAll(escaped, unicodeEscape),
      plain.replaceAll(escaped, (char) => unicodeEscape(char).replace(/[a-f]+/g, (hex) => hex.toUpperCase())),
    ]),
  ];
  return [...once, ...once.map((text) => text.replaceAll(/[\\"]/g, '\\$&'))];
}

function unicodeEscape(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** As different writers of URLs escape: JavaScript, RFC 3986, Python (which keeps `/`), HTML forms (`+`), or everything. */
function url(secret: string): string[] {
  const component = encodeURIComponent(secret);
  const strict = component.replaceAll(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const form = new URLSearchParams([['', secret]]).toString().slice(1);
  const upper = [
    component,
    strict,
    strict.replaceAll('%2F', '/'),
    strict.replaceAll('%20', '+'),
    form,
    encodeURI(secret),
    hex(secret).toUpperCase().replaceAll(/../g, '%$&'),
  ];
  return [...upper, ...upper.map((text) => text.replaceAll(/%[0-9A-F]{2}/g, (escape) => escape.toLowerCase()))];
}

function hex(secret: string): string {
  return Buffer.from(secret).toString('hex');
}

/** base64 and base64url: of the secret alone, and of it within something longer. */
function encoded(secret: Buffer): string[] {
  const alone = secret.toString('base64');
  const within = [0, 1, 2].map((before) => base64Within(secret, before));
  const standard = [alone, alone.replaceAll('=', ''), ...within, ...within.flatMap(pieces)];
  for (const columns of BASE64_COLUMNS) standard.push(...wrapped(alone, columns), ...wrapped(within[0], columns));
  return [...standard, ...standard.map((text) => text.replaceAll('+', '-').replaceAll('/', '_'))];
}

/** The digits that depend on the secret alone if `before` bytes (modulo 3) stand before it and anything behind it. */
function base64Within(secret: Buffer, before: number): string {
  const digits = Buffer.concat([Buffer.alloc(before), secret]).toString('base64');
  return digits.slice(Math.ceil((before * 8) / 6), Math.floor(((before + secret.length) * 8) / 6));
}

function wrapped(digits: string, columns: number): string[] {
  if (digits.length <= columns) return [];
  const lines: string[] = [];
  for (let at = 0; at < digits.length; at += columns) lines.push(digits.slice(at, at + columns));
  return lines.filter((line) => line.length >= MIN_SECRET_CHARS);
}

/** Of digits that a line end may cut anywhere: of each piece all but fewer than STEP digits next to the cut is known. */
const PIECE_STEP = 4;
const PIECE_DIGITS = 12;
/** For long secrets the pieces are longer and stand farther apart. */
const MAX_PIECES = 48;

function pieces(digits: string): string[] {
  const step = Math.max(PIECE_STEP, Math.ceil(digits.length / MAX_PIECES));
  const length = PIECE_DIGITS - PIECE_STEP + step;
  if (digits.length <= length) return [];
  const found = [digits.slice(-length)];
  for (let at = 0; at + length < digits.length; at += step) found.push(digits.slice(at, at + length));
  return found;
}
