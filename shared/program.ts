import { CommanderError, type Command } from 'commander';
import { UsageError } from './options/usage-error.ts';

const USAGE_EXIT_CODE = 2;

/** Longer lines are hard to read, and a terminal that doesn't say takes as many. */
const HELP_WIDTH = 120;

/**
 * Runs a program's command line and ends the process: with the code that the action answers, with 2 and a line or two
 * for what the user has to change, and with `failureCode` and a sentence for all else.
 */
export async function runProgram(program: Program): Promise<never> {
  process.exit(await programExitCode(program));
}

export interface Program {
  /** As in its messages: `keruta-agent`. */
  name: string;
  /** Parses the arguments and does what they say; answers the exit code. */
  run: () => Promise<number>;
  /** The exit code for a failure of the program itself. */
  failureCode: number;
  /** Whether failures come with their stack. */
  verbose: () => boolean;
}

async function programExitCode({ name, run, failureCode, verbose }: Program): Promise<number> {
  try {
    return await run();
  } catch (error) {
    // Commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE_EXIT_CODE;
    if (error instanceof UsageError) {
      process.stderr.write(`${name}: ${error.message}\n`);
      return USAGE_EXIT_CODE;
    }
    const said = error instanceof Error ? (verbose() ? (error.stack ?? error.message) : error.message) : String(error);
    process.stderr.write(`${name}: ${said}\n`);
    return failureCode;
  }
}

/** Errors of commander in our form, on one line: `keruta-agent: unknown option '--taks-id' (Did you mean --task-id?)`. */
export function speakPlainly(command: Command, name: string): Command {
  const width = () => (process.stdout.isTTY ? Math.min(process.stdout.columns, HELP_WIDTH) : HELP_WIDTH);
  return command.exitOverride().configureOutput({
    getOutHelpWidth: width,
    getErrHelpWidth: width,
    outputError: (text, write) => {
      write(
        `${name}: ${text
          .trimEnd()
          .replace(/^error: /, '')
          .replaceAll('\n', ' ')}\n`,
      );
    },
  });
}
