const UNITS: Record<string, number> = {
  B: 1,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
  TB: 1000 ** 4,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
};

/** `64KiB`, `100MB`; a bare number is bytes. In bytes, or undefined for all else, also `64K`, which could be either. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?([KMGT]?i?B)?$/i.exec(text.trim());
  if (!match) return undefined;
  const unit = match[2] as string | undefined;
  const name = Object.keys(UNITS).find((one) => one.toLowerCase() === (unit ?? 'B').toLowerCase());
  if (name === undefined) return undefined;
  const bytes = Number(match[1]) * UNITS[name];
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The way back, in the largest unit that gives a whole number; of two equal ones, the binary. */
export function formatSize(bytes: number): string {
  if (bytes === 0) return '0B';
  const units = Object.entries(UNITS).sort(([, a], [, b]) => b - a);
  const [name, unit] = units.find(([, one]) => bytes % one === 0) ?? ['B', 1];
  return `${bytes / unit}${name}`;
}

/** For people: `1.5 MiB`, `230 KiB`, `12 B`. */
export function sizeInWords(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit++;
  }
  return `${bytes < 10 && unit > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}
