/** A time in ms since 1970 as all APIs write it: ISO 8601, in UTC, with milliseconds. */
export function iso(time: number): string {
  return new Date(time).toISOString();
}
