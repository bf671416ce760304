import type { RelayConfig } from '../shared/options/relay-options.ts';
import type { Settings } from '../shared/options/resolve.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { isExposed } from './auth/exposure.ts';
import { NAME } from './cli-call.ts';
import { listenAddresses } from './listen-address.ts';

const FAILED_BY_ITSELF = 1;

/** Runs a relay until a signal asks it to stop, or its store is beyond use. Answers the exit code. */
export async function serve({ config, origins }: Settings<RelayConfig>): Promise<number> {
  const given = (property: keyof RelayConfig) => origins[property][0].from !== 'default';
  if (given('listen') && (given('host') || given('port'))) {
    throw new UsageError(`${origins.listen[0].name} stands for host and port; give either, not both`);
  }
  const { startRelay } = await import('./relay.ts');
  const relay = await startRelay(config);
  const { authRequired, urls } = relay;
  if (isExposed({ listen: listenAddresses(config), authRequired, openToAll: config.insecureOpen })) {
    process.stderr.write(`${NAME}: warning: whoever reaches ${urls.join(', ')} can read and write all logs\n`);
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
  for (const url of urls) process.stdout.write(`${NAME} listens on ${url}\n`);
  if (!authRequired && !config.insecureOpen) {
    process.stdout.write('It has no authentication, and so serves this machine only.\n');
  }
  await stopped;
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- a signal has set it meanwhile
  return asked ? 0 : FAILED_BY_ITSELF;
}
