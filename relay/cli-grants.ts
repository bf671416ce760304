import type { Command } from 'commander';
import { labels } from '../shared/options/kinds.ts';
import { ValueError } from '../shared/options/option.ts';
import { UsageError } from '../shared/options/usage-error.ts';
import { SCOPES, type Scope } from './auth/principal.ts';

/** What a new key or token is good for, as its flags say it. */
export interface Grants {
  scopes: Scope[];
  /** Patterns of task ids; absent: all tasks. */
  tasks?: string[];
  labels?: Record<string, string>;
}

/** The flags as commander gives them. */
export interface GrantFlags {
  scope?: string[];
  task?: string[];
  label?: string[];
}

export function addGrantFlags(command: Command): Command {
  return command
    .option('--scope <SCOPE>', 'ingest, read or admin; may be repeated', gather)
    .option('--task <PATTERN>', "only for tasks whose id fits, as 'build-*'; may be repeated", gather)
    .option('--label <NAME=VALUE>', 'only for tasks with this label; may be repeated', gather);
}

/** Throws a UsageError that names the flag. */
export function readGrants({ scope = [], task, label }: GrantFlags): Grants {
  return { scopes: readScopes(scope), tasks: task, labels: label && readLabels(label) };
}

function readScopes(given: string[]): Scope[] {
  const words = given.flatMap((one) => one.split(',')).map((one) => one.trim().toLowerCase());
  if (words.length === 0) throw new UsageError('--scope is missing: ingest, read or admin');
  return words.map((word) => {
    const scope = SCOPES.find((one) => one === word);
    if (scope === undefined) throw new UsageError(`--scope: ${JSON.stringify(word)} is none of ${SCOPES.join(', ')}`);
    return scope;
  });
}

function readLabels(given: string[]): Record<string, string> {
  try {
    return labels().read(given);
  } catch (error) {
    if (!(error instanceof ValueError)) throw error;
    throw new UsageError(`--label: ${JSON.stringify(given.join(', '))} ${error.message}; for example: team=web`);
  }
}

function gather(value: string, previous: string[] | undefined): string[] {
  return [...(previous ?? []), value];
}
