import { Option, type Command } from 'commander';
import { parseDuration } from '../shared/duration.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { SCOPES, type Scope } from './auth/principal.ts';
import { addRelayFlags, loadConfig, type Call } from './cli-call.ts';
import { gather, readLabels } from './cli-keys.ts';

/** `token`: prints a token that is signed with the relay's own secret and expires soon. */
export function addToken(root: Command, call: Call): void {
  const command = root
    .command('token')
    .summary('print a token that is good for a while')
    .description('Prints a JSON Web Token that is signed with KERUTA_RELAY_JWT_SECRET and good for a while.')
    .requiredOption('--subject <NAME>', 'whose it is; shown in the log')
    .option('--scope <SCOPE>', 'ingest, read or admin; may be repeated', gather)
    .option('--task <PATTERN>', "only for tasks whose id fits, as 'build-*'; may be repeated", gather)
    .option('--label <NAME=VALUE>', 'only for tasks with this label; may be repeated', gather)
    .addOption(new Option('--ttl <DURATION>', 'how long it is good, a day at most').default('1h', '1h'));
  addRelayFlags(command, ['jwtIssuer', 'jwtAudience']).action(async () => {
    const { mintToken } = await import('./auth/mint.ts');
    const { config } = await loadConfig(command);
    const { subject, scope = [], task, label, ttl } = command.opts<TokenFlags>();
    if (config.jwtSecret === undefined) {
      throw new UsageError('there is no secret to sign with: set KERUTA_RELAY_JWT_SECRET, as the relay has it');
    }
    const token = await mintToken({
      secret: config.jwtSecret,
      issuer: config.jwtIssuer,
      audience: config.jwtAudience,
      subject,
      scopes: readScopes(scope),
      tasks: task,
      labels: label && readLabels(label),
      lifeMs: readTtl(ttl),
      now: Date.now(),
    });
    process.stdout.write(`${token}\n`);
    call.exitCode = 0;
  });
}

interface TokenFlags {
  subject: string;
  scope?: string[];
  task?: string[];
  label?: string[];
  ttl: string;
}

function readScopes(given: string[]): Scope[] {
  const words = given.flatMap((one) => one.split(',')).map((one) => one.trim().toLowerCase());
  if (words.length === 0) throw new UsageError(`--scope is missing: ${SCOPES.join(', ')}`);
  return words.map((word) => {
    const scope = SCOPES.find((one) => one === word);
    if (scope === undefined) throw new UsageError(`--scope: ${JSON.stringify(word)} is none of ${SCOPES.join(', ')}`);
    return scope;
  });
}

function readTtl(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0)
    throw new UsageError(`--ttl: ${JSON.stringify(text)} is not a duration; for example: 1h`);
  // Such a token can't be taken back.
  if (ms > MAX_TTL_MS)
    throw new UsageError(`--ttl: ${JSON.stringify(text)} is too long, 1d is the most; keys can last`);
  return ms;
}

const MAX_TTL_MS = 24 * 60 * 60 * 1000;
