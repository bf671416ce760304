import { Metadata, status as Code, type ServiceError } from '@grpc/grpc-js';
import type { ErrorCode, KerutaError } from '../../../../shared/errors.ts';

/** An error as gRPC says it, with what gRPC's clients look at to know when to come back. */
export function grpcError(error: KerutaError): ServiceError {
  const metadata = new Metadata();
  metadata.set('keruta-code', error.code);
  if (error.retryAfterMs !== undefined) metadata.set('grpc-retry-pushback-ms', String(Math.ceil(error.retryAfterMs)));
  const code = CODES[error.code];
  return Object.assign(new Error(error.message), { code, details: error.message, metadata });
}

const CODES: Record<ErrorCode, Code> = {
  UNAUTHORIZED: Code.UNAUTHENTICATED,
  AUTH_UNAVAILABLE: Code.UNAVAILABLE,
  FORBIDDEN: Code.PERMISSION_DENIED,
  INVALID_INPUT: Code.INVALID_ARGUMENT,
  INVALID_LOG_FORMAT: Code.INVALID_ARGUMENT,
  INVALID_MESSAGE_FORMAT: Code.INVALID_ARGUMENT,
  INVALID_CURSOR: Code.INVALID_ARGUMENT,
  NOT_FOUND: Code.NOT_FOUND,
  TASK_NOT_FOUND: Code.NOT_FOUND,
  PIPELINE_NOT_FOUND: Code.NOT_FOUND,
  CONFLICT: Code.ABORTED,
  FENCED: Code.ABORTED,
  TOO_LARGE: Code.RESOURCE_EXHAUSTED,
  UNSUPPORTED_PROTOCOL: Code.UNIMPLEMENTED,
  UPGRADE_REQUIRED: Code.UNIMPLEMENTED,
  RATE_LIMIT_EXCEEDED: Code.RESOURCE_EXHAUSTED,
  WEBSOCKET_CONNECTION_FAILED: Code.RESOURCE_EXHAUSTED,
  OVERLOADED: Code.RESOURCE_EXHAUSTED,
  DRAINING: Code.UNAVAILABLE,
  IDLE: Code.UNAVAILABLE,
  DATABASE_ERROR: Code.UNAVAILABLE,
  STORE_FULL: Code.RESOURCE_EXHAUSTED,
  INTERNAL_SERVER_ERROR: Code.INTERNAL,
};
