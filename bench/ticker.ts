import { markExpression } from './mark.ts';
import { NODE } from './programs.ts';

/** A script that prints lines with marks at an even rate. */
export interface Ticker {
  linesPerSecond: number;
  seconds: number;
  /** Its number, in the marks. */
  script?: number;
  /** Every so many seconds, so many lines more, all at once. */
  burst?: { everySeconds: number; lines: number };
}

/** The command of a ticker, and how many lines it prints in all. */
export function ticker({ linesPerSecond, seconds, script = 0, burst }: Ticker): { command: string[]; lines: number } {
  const bursts = burst === undefined ? 0 : Math.floor((seconds - 1e-9) / burst.everySeconds);
  const steady = Math.round(linesPerSecond * seconds);
  const lines = steady + bursts * (burst?.lines ?? 0);
  const program = `
    let n = 0, steady = 0, bursts = 0;
    const start = performance.now();
    const say = (text) => process.stdout.write('INFO ' + ${markExpression(script, 'n++')} + text + '\\n');
    const timer = setInterval(() => {
      const due = (performance.now() - start) / 1000;
      for (; steady < ${steady} && steady < due * ${linesPerSecond}; steady++) say(' a line of a log that many watch');
      for (; bursts < ${bursts} && due >= (bursts + 1) * ${burst?.everySeconds ?? 1}; bursts++)
        for (let i = 0; i < ${burst?.lines ?? 0}; i++) say(' a line of a burst, which comes all at once');
      if (steady === ${steady} && bursts === ${bursts}) clearInterval(timer);
    }, 1);`;
  return { command: [NODE, '-e', program], lines };
}
