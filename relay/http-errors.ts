import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { ERRORS, KerutaError, type ErrorCode } from '../shared/errors.ts';
import { securityHeaders } from './auth/security-headers.ts';
import { StoreError } from './store/store.ts';

/** Any error as one that may be shown. What is unexpected keeps its text to itself (the log has it). */
export function toKerutaError(error: unknown): KerutaError {
  if (error instanceof KerutaError) return error;
  if (error instanceof StoreError) {
    return new KerutaError(error.reason === 'full' ? 'STORE_FULL' : 'DATABASE_ERROR', error.message, { cause: error });
  }
  const { statusCode, message, code } = error as { statusCode?: number; message: string; code?: string };
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    const ours: ErrorCode = CODES_BY_STATUS[statusCode] ?? 'INVALID_INPUT';
    return new KerutaError(ours, message, { cause: error });
  }
  if (code !== undefined && code in CODES_BY_PARSER_ERROR) return new KerutaError(CODES_BY_PARSER_ERROR[code], message);
  if (code?.startsWith('HPE_') === true) return new KerutaError('INVALID_INPUT', 'This is not HTTP.');
  return new KerutaError('INTERNAL_SERVER_ERROR', 'The relay failed.', { cause: error });
}

/** The JSON of an error, the same over HTTP and on a refused WebSocket. */
export function errorBody(error: KerutaError, { version, requestId }: AnswerMeta): ErrorBody {
  const { status, hint } = ERRORS[error.code];
  return {
    error: { code: error.code, message: error.message, status, hint },
    meta: { timestamp: new Date().toISOString(), version, requestId },
  };
}

/** The headers that belong to an error. */
export function errorHeaders({ code, retryAfterMs }: KerutaError): Record<string, string> {
  return {
    ...(code === 'UNAUTHORIZED' ? { 'www-authenticate': 'Bearer realm="keruta"' } : {}),
    ...(retryAfterMs === undefined ? {} : { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) }),
  };
}

/** Answers on a bare connection, and closes it: requests that never became one, upgrades that are refused. */
export function refuse(socket: Duplex, error: KerutaError, meta: AnswerMeta): void {
  // The other side may be gone already; there is nobody left to tell.
  socket.on('error', () => socket.destroy());
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const { status } = ERRORS[error.code];
  const body = JSON.stringify(errorBody(error, meta));
  const headers = {
    ...securityHeaders({ tls: socket instanceof TLSSocket }),
    ...(meta.requestId === undefined ? {} : { 'x-request-id': meta.requestId }),
    ...errorHeaders(error),
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`);
}

/** What every answer says of itself. */
export interface AnswerMeta {
  version: string;
  /** Absent where nothing came that could have a name. */
  requestId?: string;
}

/** Counts what clients are told. */
export interface ErrorMeter {
  failed(code: ErrorCode): void;
}

export interface ErrorBody {
  error: { code: ErrorCode; message: string; status: number; hint: string };
  meta: { timestamp: string; version: string; requestId?: string };
}

const CODES_BY_STATUS: Record<number, ErrorCode | undefined> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  408: 'IDLE',
  413: 'TOO_LARGE',
};

const CODES_BY_PARSER_ERROR: Record<string, ErrorCode> = {
  HPE_HEADER_OVERFLOW: 'TOO_LARGE',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'TOO_LARGE',
  ERR_HTTP_REQUEST_TIMEOUT: 'IDLE',
};
