import type { RelayConfig } from '../shared/options/relay-options.ts';
import { NAME } from './cli-call.ts';

const FAILED_BY_ITSELF = 1;

/** Runs a relay until a signal asks it to stop, or its store is beyond use. Answers the exit code. */
export async function serve(config: RelayConfig): Promise<number> {
  const { startRelay } = await import('./relay.ts');
  const relay = await startRelay(config);
  if (!isLoopback(config.host) && config.authTokens.length === 0) {
    process.stderr.write(
      `${NAME}: warning: whoever reaches ${relay.url} can read and write all logs; set KERUTA_RELAY_AUTH_TOKENS, or listen on 127.0.0.1\n`,
    );
  }
  let asked = false;
  const stopped = new Promise<void>((resolveStopped, reject) => {
    const onSignal = (signal: NodeJS.Signals): void => {
      // Asked twice, it does not wait for anybody. What was acknowledged is on the disk.
      if (asked) process.exit(128 + (signal === 'SIGINT' ? 2 : 15));
      asked = true;
      relay.stop().then(resolveStopped, reject);
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
    relay.stopped.then(resolveStopped, reject);
  });
  process.stdout.write(`${NAME} listens on ${relay.url}\n`);
  await stopped;
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a signal has set it meanwhile
  return asked ? 0 : FAILED_BY_ITSELF;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}
