/**
 * Every error that one program tells another: its HTTP status, its WebSocket close code, whether to come back, and what
 * to do about it. Close codes 4000 to 4099 mean "do not retry", 4100 to 4199 "retry with backoff".
 */
interface ErrorKind {
  status: number;
  close: number;
  retry: boolean;
  hint: string;
}

export const ERRORS = {
  UNAUTHORIZED: {
    status: 401,
    close: 4001,
    retry: false,
    hint: 'Give the relay a token it knows: KERUTA_AUTH_TOKEN for the agent, "Authorization: Bearer …" for HTTP.',
  },
  AUTH_UNAVAILABLE: {
    status: 503,
    close: 4107,
    retry: true,
    hint: "The relay can't check tokens now: what it checks them with can't be had. Try again later; its log says more.",
  },
  FORBIDDEN: { status: 403, close: 4003, retry: false, hint: 'The token is known but does not allow this.' },
  INVALID_INPUT: { status: 400, close: 4004, retry: false, hint: 'Correct the request as the message says.' },
  INVALID_LOG_FORMAT: {
    status: 400,
    close: 4004,
    retry: false,
    hint: 'A log is {"level","message","source"?,"timestamp"?,"metadata"?}, or an array of them.',
  },
  INVALID_MESSAGE_FORMAT: {
    status: 400,
    close: 4004,
    retry: false,
    hint: 'Send one JSON object a frame, as {"type":"subscribe"} or {"type":"log","message":"…"}.',
  },
  INVALID_CURSOR: {
    status: 400,
    close: 4004,
    retry: false,
    hint: 'The cursor belongs to another store or is no cursor. Start from "start", "now" or a line number.',
  },
  NOT_FOUND: { status: 404, close: 4004, retry: false, hint: 'Check the URL.' },
  TASK_NOT_FOUND: {
    status: 404,
    close: 4004,
    retry: false,
    hint: 'Check the task id; GET /api/v1/tasks lists the tasks.',
  },
  PIPELINE_NOT_FOUND: {
    status: 404,
    close: 4004,
    retry: false,
    hint: 'Check the pipeline id; GET /api/v1/pipelines lists the pipelines.',
  },
  CONFLICT: {
    status: 409,
    close: 4006,
    retry: false,
    hint: 'This contradicts what is stored already. The message says what is expected.',
  },
  FENCED: {
    status: 409,
    close: 4005,
    retry: false,
    hint: 'Another agent has taken this run over. Nothing is lost; only one may write.',
  },
  TOO_LARGE: { status: 413, close: 4009, retry: false, hint: 'Send smaller frames or bodies.' },
  UNSUPPORTED_PROTOCOL: {
    status: 426,
    close: 4010,
    retry: false,
    hint: 'Agent and relay speak different protocol versions. Update the older one.',
  },
  UPGRADE_REQUIRED: {
    status: 426,
    close: 4010,
    retry: false,
    hint: 'Connect with ws:// or wss://. If that is what was done, a proxy on the way does not pass WebSockets on.',
  },
  RATE_LIMIT_EXCEEDED: {
    status: 429,
    close: 4101,
    retry: true,
    hint: 'Wait as long as Retry-After says. Whoever runs the relay can raise its limits.',
  },
  WEBSOCKET_CONNECTION_FAILED: {
    status: 503,
    close: 4101,
    retry: true,
    hint: 'The relay has as many connections as it may have. Try again later.',
  },
  OVERLOADED: { status: 503, close: 4101, retry: true, hint: 'The relay is busy. Try again later.' },
  DRAINING: { status: 503, close: 4102, retry: true, hint: 'The relay is restarting. Try again soon.' },
  IDLE: {
    status: 408,
    close: 4103,
    retry: true,
    hint: 'Nothing was said in time. Connect again when there is something.',
  },
  DATABASE_ERROR: {
    status: 500,
    close: 4104,
    retry: true,
    hint: "The relay's store refused to write. Agents keep their lines; look at the relay's log and disk.",
  },
  STORE_FULL: {
    status: 507,
    close: 4105,
    retry: true,
    hint: "The relay's disk is nearly full. Agents keep their lines; make room or raise retention.",
  },
  INTERNAL_SERVER_ERROR: { status: 500, close: 4106, retry: true, hint: "This is a bug. The relay's log says more." },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** An error that crosses a program's border: `code` names its row in the table, `message` says what happened here. */
export class KerutaError extends Error {
  readonly code: ErrorCode;
  /** Of RATE_LIMIT_EXCEEDED: after how many ms it is worth trying again. */
  readonly retryAfterMs: number | undefined;
  constructor(code: ErrorCode, message: string, options: ErrorOptions & { retryAfterMs?: number } = {}) {
    super(message, options);
    this.name = 'KerutaError';
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Whether a close code of the link asks to come back. Codes that are not ours (1006 and the like) do. */
export function mayRetry(closeCode: number): boolean {
  return closeCode < 4000 || closeCode >= 4100;
}
