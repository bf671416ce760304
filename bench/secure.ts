import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { median, runDrained, startServer, type Server } from './processes.ts';
import type { Row } from './table.ts';
import { writeLogFile } from './text.ts';

const ROOT = join(import.meta.dirname, '..');
const NODE = process.execPath;
const AGENT = [NODE, '--max-semi-space-size=1', join(ROOT, 'dist/agent.mjs')];
const TOKEN = 'a-token-that-only-this-benchmark-knows';
/** Limits that are counted, and never reached. */
const LIMITS = ['KERUTA_RELAY_LIMIT_TASK_LINES_PER_SECOND', 'KERUTA_RELAY_LIMIT_TASK_BYTES_PER_SECOND'];
const NEVER_REACHED = String(1e12);
const ROUNDS = 5;

/** What is switched on beside the plain path. */
export interface Security {
  tls: boolean;
  auth: boolean;
}

/** What TLS, authentication and limits cost: the whole path with and without, turn by turn, so that both have the same machine. */
export async function* secureRows(folder: string, scale: number, security: Security): AsyncGenerator<Row> {
  const lines = scale === 1 ? 2_000_000 : 100_000;
  const text = join(folder, 'secure-flood.log');
  writeLogFile(text, lines);
  const plain = await startSide(join(folder, 'plain'), { tls: false, auth: false });
  const secure = await startSide(join(folder, 'secure'), security);
  try {
    const rates: { plain: number[]; secure: number[] } = { plain: [], secure: [] };
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, side] of Object.entries({ plain, secure })) {
        const command = [...AGENT, 'execute', '--task-id', `flood-${round}`, '--strict', '--', 'cat', text];
        const { seconds } = await runDrained(folder, command, side.env);
        rates[name as keyof typeof rates].push(lines / seconds / 1e6);
      }
    }
    const what = [security.tls && 'TLS', security.auth && 'authentication and limits'].filter(Boolean).join(', ');
    yield { stage: 'secure', what: 'the whole path, plain', value: median(rates.plain), unit: 'M lines/s' };
    yield { stage: 'secure', what: `… with ${what}`, value: median(rates.secure), unit: 'M lines/s' };
    const costs = rates.plain.map((rate, round) => (1 - rates.secure[round] / rate) * 100);
    yield {
      stage: 'secure',
      what: '… what that costs',
      value: median(costs),
      unit: '%',
      bar: { at: 'most', value: 20 },
      note: `median of ${ROUNDS} pairs`,
    };
  } finally {
    await Promise.all([plain.relay.stop(), secure.relay.stop()]);
  }
}

interface Side {
  relay: Server;
  env: NodeJS.ProcessEnv;
}

async function startSide(folder: string, { tls, auth }: Security): Promise<Side> {
  mkdirSync(folder);
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  if (tls) {
    const pair = await generate([{ name: 'commonName', value: 'localhost' }], {
      algorithm: 'sha256',
      keyType: 'ec',
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    writeFileSync(cert, pair.cert);
    writeFileSync(key, pair.private);
  }
  const relay = await startServer([
    ...['env', ...(auth ? LIMITS.map((name) => `${name}=${NEVER_REACHED}`) : [])],
    ...[NODE, join(ROOT, 'dist/relay.mjs'), '--port', '0', '--data', join(folder, 'data')],
    ...(tls ? ['--tls-cert', cert, '--tls-key', key] : []),
    ...(auth ? ['--auth-token', TOKEN] : []),
  ]);
  const url = /https?:\/\/\S+/.exec(relay.line)?.[0];
  if (url === undefined) throw new Error(`the relay said ${relay.line}`);
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    KERUTA_API_URL: `${url}/api/v1`,
    KERUTA_SPOOL_DIR: join(folder, 'spool'),
    ...(tls && { KERUTA_WEBSOCKET_CERT_PATH: cert }),
    ...(auth && { KERUTA_AUTH_TOKEN: TOKEN }),
  };
  return { relay, env };
}
