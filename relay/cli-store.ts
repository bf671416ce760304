import type { Command } from 'commander';
import { addRelayFlags, loadConfig, NAME, type Call } from './cli-call.ts';
import { lockFile, storeFile } from './data-folder.ts';

/** `stats`, `verify`, `backup` and `compact`: what can be done with a store besides serving it. */
export function addStoreTools(root: Command, call: Call): void {
  addStats(root);
  addVerify(root, call);
  addBackup(root);
  addCompact(root);
}

function addStats(root: Command): void {
  const command = root
    .command('stats')
    .summary('show what the store holds')
    .description('Shows what the store holds. A relay may be running.')
    .option('--json', 'as JSON; sizes in bytes, times in ms since 1970')
    .addHelpText('after', examples('stats', 'stats --data /var/lib/keruta --json'));
  addRelayFlags(command, ['dataDir']).action(async () => {
    const { storeStats } = await import('./tools/stats.ts');
    const { statsText } = await import('./tools/stats-text.ts');
    const stats = storeStats(await configuredStore(command));
    print(asked(command).json ? json(stats) : statsText(stats));
  });
}

function addVerify(root: Command, call: Call): void {
  const command = root
    .command('verify')
    .summary('check every chunk and count of the store, or of a backup')
    .description('Checks every chunk and count of the store, or of a backup. A relay may be running. Repairs nothing.')
    .argument('[file]', "a backup's file, instead of the store in the data folder")
    .option('--task <ID>', 'only this task')
    .option('--quick', 'headers and counts only: no body is read')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `${examples('verify', 'verify --task build-42', 'verify /backups/monday.db')}

The exit code is 0 if the store is sound, 1 if it is not.`,
    );
  addRelayFlags(command, ['dataDir']).action(async (file: string | undefined) => {
    const { verifyStore } = await import('./tools/verify.ts');
    const { findingText, verifiedText } = await import('./tools/verify-text.ts');
    const { Progress } = await import('./tools/progress.ts');
    const { task, quick = false, json: asJson } = command.opts<{ task?: string; quick?: boolean; json?: boolean }>();
    const progress = new Progress('verifying');
    const findings: object[] = [];
    const path = file ?? (await configuredStore(command));
    const verified = verifyStore({
      ...{ path, quick, ...(task !== undefined && { task }) },
      onFinding: (finding) => {
        progress.clear();
        if (asJson) findings.push(finding);
        else print(`${findingText(finding)}\n`);
      },
      onProgress: (done, total) => progress.show(done, total),
      maxFindings: MAX_FINDINGS,
    });
    progress.clear();
    const sound = verified.findings === 0;
    print(
      asJson
        ? json({ sound, ...verified, found: findings })
        : `${verifiedText(verified, { quick, shown: MAX_FINDINGS })}\n`,
    );
    if (!sound) call.exitCode = NOT_SOUND;
  });
}

function addBackup(root: Command): void {
  const command = root
    .command('backup')
    .summary('copy the store, as it is at this moment, into a file')
    .description('Copies the store, as it is at this moment, into a file. A relay may be running.')
    .argument('<target>', 'the file to be made; nothing is overwritten')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      `${examples('backup /backups/monday.db')}

To use it, put it as keruta.db into an empty data folder. Agents that still have what it lacks send it again.`,
    );
  addRelayFlags(command, ['dataDir']).action(async (target: string) => {
    const { backupStore } = await import('./tools/backup.ts');
    const { bytesInWords } = await import('./tools/words.ts');
    const { Progress } = await import('./tools/progress.ts');
    const progress = new Progress('copying');
    const stopped = new AbortController();
    const stop = (signal: NodeJS.Signals): void => stopped.abort(new Error(`stopped by ${signal}; nothing was made`));
    const signals = ['SIGINT', 'SIGTERM'] as const;
    for (const signal of signals) process.on(signal, stop);
    try {
      const { bytes } = await backupStore({
        ...{ source: await configuredStore(command), target, signal: stopped.signal },
        onProgress: (done, total) => progress.show(done, total),
      });
      progress.clear();
      print(asked(command).json ? json({ file: target, bytes }) : `${target}: ${bytesInWords(bytes)}\n`);
    } finally {
      progress.clear();
      for (const signal of signals) process.off(signal, stop);
    }
  });
}

function addCompact(root: Command): void {
  const command = root
    .command('compact')
    .summary('merge small chunks and give free space back; the relay must be stopped')
    .description('Merges small chunks and gives free space back to the disk. The relay must be stopped.')
    .option('--json', 'as JSON; sizes in bytes')
    .addHelpText('after', examples('compact', 'compact --data /var/lib/keruta'));
  addRelayFlags(command, ['dataDir']).action(async () => {
    const { compactStore } = await import('./tools/compact.ts');
    const { compactedText } = await import('./tools/compact-text.ts');
    const { config } = await loadConfig(command);
    const { dataDir } = config;
    const compacted = await compactStore({ path: storeFile(dataDir), lock: lockFile(dataDir), dataDir });
    print(asked(command).json ? json(compacted) : compactedText(compacted));
  });
}

async function configuredStore(command: Command): Promise<string> {
  return storeFile((await loadConfig(command)).config.dataDir);
}

function asked(command: Command): { json?: boolean } {
  return command.opts<{ json?: boolean }>();
}

function examples(...calls: string[]): string {
  return `\nExamples:\n${calls.map((call) => `  ${NAME} ${call}`).join('\n')}`;
}

function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

function print(text: string): void {
  process.stdout.write(text);
}

const NOT_SOUND = 1;
/** What nobody reads to the end; all are counted. */
const MAX_FINDINGS = 1000;
