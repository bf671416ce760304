/** Between two attempts: anything below a ceiling that doubles from `minMs` to `maxMs` (full jitter). */
export interface BackoffLimits {
  minMs: number;
  maxMs: number;
}

/** ms to wait after so many attempts that failed, 1 or more; `random` is of [0, 1). */
export function backoffMs(attempt: number, { minMs, maxMs }: BackoffLimits, random: () => number): number {
  // 2 ** 30 times anything is above every ceiling, and stays a number.
  return random() * Math.min(maxMs, minMs * 2 ** Math.min(attempt - 1, 30));
}
