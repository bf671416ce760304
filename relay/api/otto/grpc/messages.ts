/** The messages of ottoscaler.proto that the relay reads and writes, as its services see them: all members are there. */
export interface LogEntryMessage {
  worker_id: string;
  task_id: string;
  timestamp: string;
  level: string;
  source: string;
  message: string;
  metadata: Record<string, string>;
}

export interface WorkerLogEntryMessage extends LogEntryMessage {
  pod_metadata: WorkerMetadataMessage | null;
}

export interface WorkerMetadataMessage {
  pod_name: string;
  namespace: string;
  node_name: string;
  created_at: string;
  labels: Record<string, string>;
}

export interface WorkerRegistrationMessage {
  worker_id: string;
  task_id: string;
  metadata: WorkerMetadataMessage | null;
  server_endpoint: string;
}

export interface RegistrationResponseMessage {
  status: 'SUCCESS' | 'ALREADY_REGISTERED' | 'SERVER_FULL' | 'INVALID_REQUEST';
  message: string;
  session_id?: string;
  config?: LoggingConfigMessage;
}

interface LoggingConfigMessage {
  rate_limit: number;
  buffer_size: number;
  max_message_size: number;
  include_metadata: boolean;
}

/** Of both streams; `throttle_ms` only where handlers forward. */
export interface AnswerMessage {
  status: AnswerStatus;
  message: string;
  sequence: number;
  throttle_ms?: number;
}

export type AnswerStatus = 'ACK' | 'RETRY' | 'DROP';

export interface StatusNotificationMessage {
  worker_id: string;
  task_id: string;
  /** A number where the sender used one that is not in the table. */
  status: 'CREATED' | 'RUNNING' | 'COMPLETED' | 'FAILED' | 'TERMINATED' | number;
  timestamp: string;
  reason: string;
  metadata: Record<string, string>;
}

export interface StatusAckMessage {
  status: 'RECEIVED' | 'IGNORED' | 'ERROR';
  message: string;
}
