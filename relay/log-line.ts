/** A line of the log for people: time, level, what happened, and the details as `name=value`. */
export function lineOf(json: string): string {
  const { time, level, msg, err, pid: _pid, hostname: _hostname, ...details } = JSON.parse(json) as Entry;
  const said = Object.entries(details).map(([name, value]) => `${name}=${plain(value)}`);
  const head = [new Date(time).toISOString().slice(11, 23), LEVELS[level] ?? String(level), msg ?? ''];
  const line = [...head, ...said, ...(err?.message === undefined ? [] : [`(${err.message})`])].join(' ');
  // Errors of the programs' own making say enough; of all others one wants to know from where they come.
  const stack = level >= ERROR && err?.stack !== undefined ? `\n${err.stack}` : '';
  return `${line}${stack}\n`;
}

interface Entry {
  time: number;
  level: number;
  msg?: string;
  err?: { message?: string; stack?: string };
  pid?: number;
  hostname?: string;
}

function plain(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=\u0000-\u001f\u007f-\u009f]+$/.test(text) ? text : JSON.stringify(text);
}

const ERROR = 50;
const LEVELS: Record<number, string> = {
  10: 'TRACE',
  20: 'DEBUG',
  30: 'INFO ',
  40: 'WARN ',
  50: 'ERROR',
  60: 'FATAL',
};
