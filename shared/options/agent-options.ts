import { join } from 'node:path';
import { LEVELS } from '../line.ts';
import { taskIdProblem } from '../task-id.ts';
import { choice, duration, integer, labels, LEVEL_WORDS, list, path, pattern, size, switched, text } from './kinds.ts';
import { agentLinkOptions } from './agent-link-options.ts';
import { option, type Resolved, type Surroundings } from './option.ts';

/** The agent's options. */
export const agentOptions = {
  taskId: option({
    kind: text('ID', 'build-42', taskIdProblem),
    help: 'The task that the log belongs to',
    flag: '--task-id',
    env: ['KERUTA_TASK_ID'],
  }),
  taskName: option({
    kind: text('NAME', 'Nightly build'),
    help: 'What people call the task',
    flag: '--task-name',
    env: ['KERUTA_TASK_NAME'],
    key: 'agent.taskName',
  }),
  pipelineId: option({
    kind: text('ID', 'release-7'),
    help: 'The pipeline that the task belongs to',
    flag: '--pipeline-id',
    env: ['KERUTA_PIPELINE_ID'],
    key: 'agent.pipelineId',
  }),
  workerId: option({
    kind: text('ID', 'runner-3'),
    help: 'The machine or pod that runs the script',
    flag: '--worker-id',
    env: ['KERUTA_WORKER_ID'],
    key: 'agent.workerId',
    default: ({ hostname }: Surroundings) => (hostname === '' ? 'unknown' : hostname),
    defaultText: 'the host name',
  }),
  labels: option({
    kind: labels(),
    help: 'A label to find the task by; labels of flags, environment and file add up',
    flag: '--label',
    repeatable: true,
    env: [
      'KERUTA_LABELS',
      { name: 'KERUTA_POD_NAME', as: (pod) => ({ pod }) },
      { name: 'KERUTA_POD_NAMESPACE', as: (namespace) => ({ namespace }) },
      { name: 'KERUTA_NODE_NAME', as: (node) => ({ node }) },
    ],
    key: 'agent.labels',
    default: {},
    defaultText: 'none',
  }),
  workDir: option({
    kind: path('/srv/project'),
    help: 'The folder in which the script runs',
    flag: '--work-dir',
    env: ['KERUTA_WORK_DIR'],
    key: 'agent.workDir',
    defaultText: "the agent's own",
  }),
  timeoutMs: option({
    kind: duration('2h', { min: 1 }),
    help: 'How long the script may run; then it is ended and the exit code is 124',
    flag: '--timeout',
    env: ['KERUTA_TIMEOUT'],
    key: 'agent.timeout',
    defaultText: 'without end',
  }),
  graceMs: option({
    kind: duration('30s'),
    help: 'How long the script has to end after SIGTERM, before SIGKILL',
    flag: '--grace',
    env: ['KERUTA_GRACE'],
    key: 'agent.grace',
    default: 10_000,
  }),
  mask: option({
    kind: { ...list(pattern('VALUE|@FILE', '@/run/secrets/deploy'), '\n'), merge: (all: string[][]) => all.flat() },
    help: 'A secret to mask in the log, or a file with one a line, beside those that the environment shows by their names',
    flag: '--mask',
    repeatable: true,
    env: ['KERUTA_MASK'],
    key: 'agent.mask',
    default: [],
    defaultText: 'none',
    secret: true,
  }),
  tee: option({
    kind: switched(),
    help: "Pass the script's output on to the agent's own",
    flag: '--no-tee',
    flagHelp: "only ship the script's output, do not pass it on",
    flagValue: false,
    env: ['KERUTA_TEE'],
    key: 'agent.tee',
    default: true,
  }),
  logFile: option({
    kind: path('/var/log/job.log'),
    help: 'A file that also gets what the script prints, secrets masked, behind what is in it',
    flag: '--log-file',
    env: ['KERUTA_LOG_FILE'],
    key: 'agent.logFile',
    defaultText: 'none',
  }),
  localPort: option({
    kind: integer('9464', { max: 65_535 }),
    help: 'A port on 127.0.0.1 with /metrics and /health of the run; 0 for any that is free, which is then said',
    flag: '--local-port',
    env: ['KERUTA_LOCAL_PORT'],
    key: 'agent.localPort',
    defaultText: 'none',
  }),
  debug: option({
    kind: switched(),
    help: 'Serve /debug on the local port: profiles, heap snapshots and garbage collection, which slow the agent down',
    flag: '--debug',
    flagValue: true,
    env: ['KERUTA_DEBUG'],
    key: 'agent.debug',
    default: false,
  }),
  strict: option({
    kind: switched(),
    help: 'Exit with 120 if the script succeeded but the relay has not confirmed that it has every line',
    flag: '--strict',
    flagValue: true,
    env: ['KERUTA_STRICT'],
    key: 'agent.strict',
    default: false,
  }),
  drainTimeoutMs: option({
    kind: duration('1m'),
    help: 'How long to wait for the relay once the script has ended; the rest stays in the spool',
    flag: '--drain-timeout',
    env: ['KERUTA_DRAIN_TIMEOUT'],
    key: 'agent.drainTimeout',
    defaultText: '10s while it answers, 1s if it was never reached',
  }),
  verbose: option({
    kind: switched(),
    help: 'Tell more on stderr, as where in the code a failure happened',
    flag: '--verbose',
    flagValue: true,
    env: ['KERUTA_VERBOSE'],
    key: 'agent.verbose',
    default: false,
  }),

  logStreamingEnabled: option({
    kind: switched(),
    help: 'Ship the log',
    flag: '--disable-log-streaming',
    flagHelp: 'only run the script',
    flagValue: false,
    env: ['KERUTA_LOG_STREAMING_ENABLED'],
    key: 'logStreaming.enabled',
    default: true,
  }),
  logLevel: option({
    kind: choice(LEVELS, LEVEL_WORDS),
    help: 'Ship lines of this level and above; those below are still passed on',
    flag: '--log-level',
    env: ['KERUTA_LOG_LEVEL'],
    key: 'logStreaming.level',
    default: 'DEBUG',
  }),
  flushIntervalMs: option({
    kind: duration('500ms', { min: 1 }),
    help: 'The longest that a line waits for others to travel with',
    env: ['KERUTA_LOG_FLUSH_INTERVAL'],
    key: 'logStreaming.flushInterval',
    default: 1000,
  }),
  batchSize: option({
    kind: integer('10', { min: 1 }),
    help: 'Lines that make a batch leave at once when the link is idle',
    env: ['KERUTA_LOG_BATCH_SIZE'],
    key: 'logStreaming.batchSize',
    default: 1,
  }),
  bufferLines: option({
    kind: integer('100000', { min: 100 }),
    help: 'Lines that may wait in memory for the spool before the script waits; memoryLimit holds beside it',
    env: ['KERUTA_LOG_BUFFER_SIZE'],
    key: 'logStreaming.bufferSize',
    defaultText: 'without limit',
  }),
  maxPieceBytes: option({
    kind: size('64KiB', { min: 1024, max: 256 * 1024 }),
    help: 'The longest piece of a line; longer lines travel in pieces that readers join',
    env: ['KERUTA_LOG_MAX_PIECE'],
    key: 'logStreaming.maxPiece',
    default: 256 * 1024,
  }),
  maxMessageLength: option({
    kind: size('8KiB', { min: 1 }),
    help: 'Cut lines that are longer, and mark them as cut',
    env: ['KERUTA_LOG_MAX_MESSAGE_LENGTH'],
    key: 'logStreaming.filters.maxMessageLength',
    defaultText: 'without limit',
  }),
  excludePatterns: option({
    kind: list(pattern('REGEX', '^\\[debug\\]'), '\n'),
    help: 'Do not ship lines in which one of these is found (RE2 syntax, one a line in the environment); they are still passed on',
    env: ['KERUTA_LOG_EXCLUDE_PATTERNS'],
    key: 'logStreaming.filters.excludePatterns',
    default: [],
    defaultText: 'none',
  }),
  includePatterns: option({
    kind: list(pattern('REGEX', 'ERROR|WARN|^step '), '\n'),
    help: 'Ship only lines in which one of these is found (RE2 syntax, one a line in the environment)',
    env: ['KERUTA_LOG_INCLUDE_PATTERNS'],
    key: 'logStreaming.filters.includePatterns',
    default: [],
    defaultText: 'all lines',
  }),

  spoolDir: option({
    kind: path('/var/lib/keruta/spool'),
    help: 'Where lines are kept until the relay has them',
    flag: '--spool-dir',
    env: ['KERUTA_SPOOL_DIR'],
    key: 'spool.dir',
    default: spoolFolder,
    defaultText: '~/.local/state/keruta/spool, or in the temporary folder if there is no home',
  }),
  spoolLimitBytes: option({
    kind: size('200MB', { min: 1024 * 1024 }),
    help: 'How much the spool may take',
    flag: '--spool-limit',
    env: ['KERUTA_SPOOL_LIMIT'],
    key: 'spool.limit',
    default: 1024 ** 3,
  }),
  overflow: option({
    kind: choice(['drop-oldest', 'block']),
    help: 'What happens when the spool is full: the oldest lines go (the log shows the gap), or the script waits',
    flag: '--overflow',
    env: ['KERUTA_OVERFLOW'],
    key: 'spool.overflow',
    default: 'drop-oldest',
  }),
  spoolMaxAgeMs: option({
    kind: duration('30d', { min: 1000, max: Number.MAX_SAFE_INTEGER }),
    help: 'What earlier runs left in the spool is removed instead of sent when nothing was written to it for this long',
    flag: '--spool-max-age',
    env: ['KERUTA_SPOOL_MAX_AGE'],
    key: 'spool.maxAge',
    defaultText: 'kept without end',
  }),
  memoryLimitBytes: option({
    kind: size('128MiB', { min: 4 * 1024 * 1024 }),
    help: 'Memory for lines that are not yet in the spool',
    env: ['KERUTA_MEMORY_LIMIT'],
    key: 'performance.memoryLimit',
    otherKeys: [{ name: 'performance.memoryLimitMB', as: (megabytes) => `${megabytes}MB` }],
    default: 64 * 1024 * 1024,
  }),
  rateLimitPerSecond: option({
    kind: integer('1000', { min: 1, max: 1_000_000_000 }),
    help: 'Lines that are sent in a second, at most, and one second of them at once',
    env: ['KERUTA_RATE_LIMIT_PER_SECOND'],
    key: 'performance.rateLimitPerSecond',
    defaultText: 'without limit',
  }),
  rateLimitPolicy: option({
    kind: choice(['delay', 'drop']),
    help: 'Above that rate lines are sent later, and nothing is lost, or are not sent at all, and the log shows the gaps',
    env: ['KERUTA_RATE_LIMIT_POLICY'],
    key: 'performance.rateLimitPolicy',
    default: 'delay',
  }),

  ...agentLinkOptions,
};

/** The agent's configuration: sizes in bytes, times in ms. Optional properties are those without a default. */
export type AgentConfig = Resolved<typeof agentOptions>;

function spoolFolder({ env, home, temporary, uid }: Surroundings): string {
  const state = env.XDG_STATE_HOME;
  // The specification says to ignore one that is not absolute.
  if (state?.startsWith('/')) return join(state, 'keruta/spool');
  if (home !== undefined) return join(home, '.local/state/keruta/spool');
  // Temporary folders are everybody's: one folder a user.
  return join(temporary, uid === -1 ? 'keruta' : `keruta-${uid}`, 'spool');
}
