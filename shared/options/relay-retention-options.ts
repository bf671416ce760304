import { duration, integer, size } from './kinds.ts';
import { option } from './option.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** What goes is gone for good, so what is meant as "no limit" must not be taken for "nothing may stay". */
const AT_LEAST_BYTES = 64 * 1024;

/** What the relay forgets by itself, the oldest first. Without any of them it keeps all; pinned tasks stay anyway. */
export const relayRetentionOptions = {
  retentionMaxAgeMs: option({
    kind: duration('30d', { min: 60_000, max: 36_500 * DAY_MS }),
    help: 'Forget lines that came in longer ago than this, whatever their own time says',
    flag: '--retention-max-age',
    env: ['KERUTA_RELAY_RETENTION_MAX_AGE'],
    key: 'relay.retention.maxAge',
    defaultText: 'lines are kept',
  }),
  retentionMaxBytes: option({
    kind: size('100GiB', { min: AT_LEAST_BYTES }),
    help: 'Forget the oldest lines of all tasks while what is stored, as it is compressed, takes more than this',
    flag: '--retention-max-bytes',
    env: ['KERUTA_RELAY_RETENTION_MAX_BYTES'],
    key: 'relay.retention.maxBytes',
    defaultText: 'no limit',
  }),
  retentionMaxTaskBytes: option({
    kind: size('1GiB', { min: AT_LEAST_BYTES }),
    help: 'Forget the oldest lines of a task while its own take more than this, compressed',
    flag: '--retention-max-task-bytes',
    env: ['KERUTA_RELAY_RETENTION_MAX_TASK_BYTES'],
    key: 'relay.retention.maxTaskBytes',
    defaultText: 'no limit',
  }),
  retentionMaxTaskLines: option({
    kind: integer('10000000', { min: 1 }),
    help: 'Forget the oldest lines of a task while it has more than this; goes in whole chunks of up to 65,535 lines',
    flag: '--retention-max-task-lines',
    env: ['KERUTA_RELAY_RETENTION_MAX_TASK_LINES'],
    key: 'relay.retention.maxTaskLines',
    defaultText: 'no limit',
  }),
};
