import type { Command } from 'commander';
import { parseDuration } from '../shared/duration.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import type { KeyRequest } from './auth/keys.ts';
import { addRelayFlags, loadConfig, type Call } from './cli-call.ts';
import { addGrantFlags, readGrants, type GrantFlags } from './cli-grants.ts';

const HELP = `
Examples:
  keruta-relay keys create --name ci --scope ingest --task 'build-*' --expires 90d
  keruta-relay keys create --name team --scope read,ingest --data /var/lib/keruta
  keruta-relay keys list
  keruta-relay keys revoke ci

The data folder must be the relay's: --data, KERUTA_RELAY_DATA or relay.data in keruta.config.yaml.`;

/** `keys create`, `keys list`, `keys revoke`: the API keys of a data folder, also while its relay runs. */
export function addKeys(root: Command, call: Call): void {
  const keys = root
    .command('keys')
    .summary('create, list and revoke API keys')
    .description('Creates, lists and revokes API keys. A running relay knows of a change within a second.')
    .addHelpText('after', HELP);
  addCreate(keys, call);
  addList(keys, call);
  addRevoke(keys, call);
}

function addCreate(keys: Command, call: Call): void {
  const command = keys
    .command('create')
    .summary('print a new key, this once')
    .description('Prints a new key, this once: the data folder keeps its hash only.')
    .requiredOption('--name <NAME>', 'what it is for; shown in lists and in the log');
  addGrantFlags(command).option('--expires <DURATION>', 'how long it is good, as 90d (default: until it is revoked)');
  addRelayFlags(command, ['dataDir']).action(async () => {
    const { createKey } = await import('./auth/keys.ts');
    const { config } = await loadConfig(command);
    const { id, text } = await createKey(config.dataDir, requestOf(command.opts<CreateFlags>()), Date.now());
    process.stderr.write(`This is the key ${id}. It is shown only now: ${config.dataDir} keeps a hash of it.\n`);
    process.stdout.write(`${text}\n`);
    call.exitCode = 0;
  });
}

function addList(keys: Command, call: Call): void {
  const command = keys
    .command('list')
    .summary('show all keys, without their secrets')
    .description('Shows all keys, without their secrets.')
    .option('--json', 'as JSON');
  addRelayFlags(command, ['dataDir']).action(async () => {
    const { listKeys, keyTable } = await import('./auth/keys.ts');
    const { config } = await loadConfig(command);
    const list = await listKeys(config.dataDir);
    const { json = false } = command.opts<{ json?: boolean }>();
    process.stdout.write(json ? `${JSON.stringify(list, undefined, 2)}\n` : keyTable(list, Date.now()));
    call.exitCode = 0;
  });
}

function addRevoke(keys: Command, call: Call): void {
  const command = keys
    .command('revoke')
    .summary('take keys back')
    .description('Takes keys back. Connections that use them end within a second.')
    .argument('<ID...>', 'ids or names of keys');
  addRelayFlags(command, ['dataDir']).action(async (wanted: string[]) => {
    const { revokeKeys } = await import('./auth/keys.ts');
    const { config } = await loadConfig(command);
    const revoked = await revokeKeys(config.dataDir, wanted);
    for (const { id, name } of revoked) process.stdout.write(`revoked ${id} (${name})\n`);
    call.exitCode = 0;
  });
}

interface CreateFlags extends GrantFlags {
  name: string;
  expires?: string;
}

function requestOf({ name, expires, ...grants }: CreateFlags): KeyRequest {
  return { name, ...readGrants(grants), lifeMs: expires === undefined ? undefined : readLife(expires) };
}

function readLife(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0) {
    throw new UsageError(`--expires: ${JSON.stringify(text)} is not a duration; for example: 90d`);
  }
  return ms;
}
