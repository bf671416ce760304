import { Option, type Command } from 'commander';
import { parseDuration } from '../shared/duration.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { addRelayFlags, loadConfig, type Call } from './cli-call.ts';
import { addGrantFlags, readGrants, type GrantFlags } from './cli-grants.ts';

/** `token`: prints a token that is signed with the relay's own secret and expires soon. */
export function addToken(root: Command, call: Call): void {
  const command = root
    .command('token')
    .summary('print a token that is good for a while')
    .description('Prints a JSON Web Token that is signed with KERUTA_RELAY_JWT_SECRET and good for a while.')
    .requiredOption('--subject <NAME>', 'whose it is; shown in the log');
  addGrantFlags(command).addOption(
    new Option('--ttl <DURATION>', 'how long it is good, a day at most').default('1h', '1h'),
  );
  addRelayFlags(command, ['jwtIssuer', 'jwtAudience']).action(async () => {
    const { mintToken } = await import('./auth/mint.ts');
    const { config } = await loadConfig(command);
    const { subject, ttl, ...grants } = command.opts<TokenFlags>();
    if (config.jwtSecret === undefined) {
      throw new UsageError('there is no secret to sign with: set KERUTA_RELAY_JWT_SECRET, as the relay has it');
    }
    const token = await mintToken({
      secret: config.jwtSecret,
      issuer: config.jwtIssuer,
      audience: config.jwtAudience,
      subject,
      ...readGrants(grants),
      lifeMs: readTtl(ttl),
      now: Date.now(),
    });
    process.stdout.write(`${token}\n`);
    call.exitCode = 0;
  });
}

interface TokenFlags extends GrantFlags {
  subject: string;
  ttl: string;
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
