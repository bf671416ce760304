/**
 * What the user has to change: a flag, an environment variable, a line of the configuration file. The message says what
 * is wrong, where it stands and what would be right, in one or two lines; the command line prints it and exits with 2.
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
