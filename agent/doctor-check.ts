/** One thing that was looked at. */
export interface Check {
  /** What was looked at: `spool`, `token`. */
  name: string;
  state: 'good' | 'warning' | 'bad';
  /** What was found, in a sentence without its full stop. */
  found: string;
  /** What to do about it, if it is not good. */
  advice?: string;
}

export const good = (name: string, found: string): Check => ({ name, state: 'good', found });
export const warning = (name: string, found: string, advice: string): Check => ({
  name,
  state: 'warning',
  found,
  advice,
});
export const bad = (name: string, found: string, advice: string): Check => ({ name, state: 'bad', found, advice });

/** The checks for people, one a line, what to do below it. */
export function printChecks(checks: readonly Check[]): string {
  const width = Math.max(...checks.map(({ name }) => name.length));
  return checks
    .map(({ name, state, found, advice }) => {
      const line = `${SIGNS[state]} ${name.padEnd(width)}  ${found}\n`;
      return advice === undefined ? line : `${line}${' '.repeat(width + 4)}→ ${advice}\n`;
    })
    .join('');
}

const SIGNS = { good: '✓', warning: '!', bad: '✗' };
