import { openSync } from 'node:fs';
import { Tee } from './tee.ts';

/**
 * The file of --log-file: gets what stdout and stderr get, secrets masked, behind what is there already; readable for
 * its owner only. What goes wrong with it is said once through `warn`, and does not concern the script. It stays open
 * until the process ends.
 */
export function openLogFile(path: string, warn: (text: string) => void): Tee | undefined {
  try {
    return new Tee(openSync(path, 'a', 0o600), (error) =>
      warn(`can't write to the log file ${path} any more (${error.code ?? error.message}); the rest is not in it`),
    );
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    warn(`the log file ${path} can't be opened (${code ?? message}); there will be none`);
    return undefined;
  }
}
