import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { runDrained } from './processes.ts';
import type { Programs, Relay } from './programs.ts';
import { repeat, type Bench } from './stage.ts';
import { rowOf, type Row } from './table.ts';
import { writeLogFile } from './text.ts';

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
export async function* secureRows(
  { folder, programs, scale }: Bench,
  security: Security = { tls: true, auth: true },
): AsyncGenerator<Row> {
  const lines = scale.smoke ? 100_000 : 2_000_000;
  const text = join(folder, 'secure-flood.log');
  writeLogFile(text, lines);
  const plain = await programs.relay('plain');
  const secure = await startSecure(programs, join(folder, 'certificates'), security);
  try {
    const rate = async (env: NodeJS.ProcessEnv, round: number): Promise<number> => {
      const command = [...programs.agent, 'execute', '--task-id', `flood-${round}`, '--strict', '--', 'cat', text];
      return lines / (await runDrained(folder, command, env)).seconds / 1e6;
    };
    const rounds = await repeat(scale.smoke ? 1 : ROUNDS, async (round) => ({
      plain: await rate(plain.env, round),
      secure: await rate(secure.env, round),
    }));
    const what = [security.tls && 'TLS', security.auth && 'authentication and limits'].filter(Boolean).join(', ');
    const stage = 'secure';
    yield rowOf(
      rounds.map((round) => round.plain),
      { stage, what: 'the whole path, plain', unit: 'M lines/s' },
    );
    yield rowOf(
      rounds.map((round) => round.secure),
      { stage, what: `… with ${what}`, unit: 'M lines/s' },
    );
    yield rowOf(
      rounds.map((round) => (1 - round.secure / round.plain) * 100),
      { stage, what: '… what that costs, by pairs', unit: '%', bar: { at: 'most', value: 20 } },
    );
  } finally {
    await Promise.all([plain.stop(), secure.stop()]);
  }
}

async function startSecure(programs: Programs, folder: string, { tls, auth }: Security): Promise<Relay> {
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
  const relay = await programs.relay('secure', {
    args: [...(tls ? ['--tls-cert', cert, '--tls-key', key] : []), ...(auth ? ['--auth-token', TOKEN] : [])],
    env: auth ? Object.fromEntries(LIMITS.map((name) => [name, NEVER_REACHED])) : {},
  });
  const env = {
    ...relay.env,
    ...(tls && { KERUTA_WEBSOCKET_CERT_PATH: cert }),
    ...(auth && { KERUTA_AUTH_TOKEN: TOKEN }),
  };
  return { ...relay, env };
}
