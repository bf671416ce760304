const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
type Unit = keyof typeof UNITS;

/** `250ms`, `1s`, `5m`, `1h`, `30d`; a bare number is seconds; decimals are fine. In ms, or undefined for all else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/.exec(text.trim());
  if (!match) return undefined;
  const [, number, unit] = match as (string | undefined)[];
  const ms = Math.round(Number(number) * UNITS[(unit ?? 's') as Unit]);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** The way back, in the largest unit that gives a whole number. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0s';
  const units = (Object.keys(UNITS) as Unit[]).reverse();
  const unit = units.find((one) => ms % UNITS[one] === 0) ?? 'ms';
  return `${ms / UNITS[unit]}${unit}`;
}
