import { pino, type Logger, type LoggerOptions } from 'pino';
import { lineOf } from './log-line.ts';

/** The relay's own log on stderr: JSON, a line each, or on a terminal lines to be read by people. */
export function openLog(level: string): Logger {
  const destination = pino.destination({ dest: 2, sync: true });
  if (!process.stderr.isTTY) return pino(logOptions(level), destination);
  return pino(logOptions(level), { write: (json: string) => void destination.write(lineOf(json)) });
}

/** Nothing that lets anybody in is logged, also if it comes along by mistake: with a request, an error's details. */
export function logOptions(level: string): LoggerOptions {
  return { level, redact: { paths: SECRETS, censor: '***' } };
}

const NAMES = ['authorization', 'cookie', 'token', 'password', 'secret', 'apiKey', '["x-api-key"]'];
const SECRETS = NAMES.flatMap((name) => {
  const within = name.startsWith('[') ? name : `.${name}`;
  return [name, `*${within}`, `*.headers${within}`];
});
