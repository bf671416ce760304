import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadSync } from '@grpc/proto-loader';
import { PROTO_FILE } from './services.ts';

/**
 * Each message as it stands on the wire, written by hand from the table of the contract: a tag is
 * `field number * 8 + wire type` (0 varint, 2 bytes, 5 four bytes). A client of our own would hide a wrong number.
 */
const GOLDEN: { message: string; value: object; wire: string }[] = [
  {
    message: 'LogEntry',
    value: {
      worker_id: 'w',
      task_id: 't',
      timestamp: 'T',
      level: 'L',
      source: 'S',
      message: 'M',
      metadata: { k: 'v' },
    },
    wire: '0a0177 120174 1a0154 22014c 2a0153 32014d 3a06 0a016b 120176',
  },
  {
    message: 'WorkerLogEntry',
    value: {
      worker_id: 'w',
      task_id: 't',
      timestamp: 'T',
      level: 'L',
      source: 'S',
      message: 'M',
      pod_metadata: { pod_name: 'p', namespace: 'n', node_name: 'o', created_at: 'c', labels: { k: 'v' } },
      metadata: { x: 'y' },
    },
    wire: `0a0177 120174 1a0154 22014c 2a0153 32014d
      3a14 0a0170 12016e 1a016f 220163 2a06 0a016b 120176
      4206 0a0178 120179`,
  },
  { message: 'LogResponse', value: { status: 'ACK', message: '', sequence: 1 }, wire: '1801' },
  { message: 'LogResponse', value: { status: 'RETRY', message: 'm', sequence: 300 }, wire: '0801 12016d 18ac02' },
  { message: 'LogResponse', value: { status: 'DROP', message: 'm', sequence: 0 }, wire: '0802 12016d' },
  {
    message: 'LogForwardResponse',
    value: { status: 'RETRY', message: 'm', sequence: 2 ** 33, throttle_ms: 250 },
    wire: '0801 12016d 188080808020 20fa01',
  },
  {
    message: 'WorkerRegistration',
    value: {
      worker_id: 'w',
      task_id: 't',
      metadata: { pod_name: 'p', namespace: '', node_name: '', created_at: '', labels: {} },
      server_endpoint: 's',
    },
    wire: '0a0177 120174 1a03 0a0170 220173',
  },
  {
    message: 'WorkerMetadata',
    value: { pod_name: 'p', namespace: 'n', node_name: 'o', created_at: 'c', labels: { a: 'b', c: 'd' } },
    wire: '0a0170 12016e 1a016f 220163 2a06 0a0161 120162 2a06 0a0163 120164',
  },
  {
    message: 'RegistrationResponse',
    value: {
      status: 'SERVER_FULL',
      message: 'm',
      session_id: 's',
      config: { rate_limit: 1, buffer_size: 2, max_message_size: 3, include_metadata: true },
    },
    wire: '0802 12016d 1a0173 2208 0801 1002 1803 2001',
  },
  {
    message: 'LoggingConfig',
    value: { rate_limit: 1000, buffer_size: 1, max_message_size: 1048576, include_metadata: true },
    wire: '08e807 1001 18808040 2001',
  },
  {
    message: 'WorkerStatusNotification',
    value: {
      worker_id: 'w',
      task_id: 't',
      status: 'TERMINATED',
      timestamp: 'T',
      reason: 'r',
      metadata: { k: 'v' },
    },
    wire: '0a0177 120174 1804 220154 2a0172 3206 0a016b 120176',
  },
  { message: 'WorkerStatusAck', value: { status: 'ERROR', message: 'm' }, wire: '0802 12016d' },
  {
    message: 'PipelineProgress',
    value: {
      pipeline_id: 'p',
      stage_id: 's',
      status: 'STAGE_RETRYING',
      message: 'm',
      worker_pod_names: ['a', 'b'],
      progress_percentage: 50,
      timestamp: 'T',
      started_at: 'S',
      completed_at: 'C',
      error_message: 'E',
      metrics: {
        duration_seconds: 1,
        successful_workers: 2,
        failed_workers: 3,
        total_workers: 4,
        avg_cpu_usage: 0.5,
        avg_memory_mb: 1.5,
      },
    },
    wire: `0a0170 120173 1806 22016d 2a0161 2a0162 3032 3a0154 420153 4a0143 520145
      5a12 0801 1002 1803 2004 2d0000003f 350000c03f`,
  },
];

const ENUMS: Record<string, string[]> = {
  'LogResponse.Status': ['ACK', 'RETRY', 'DROP'],
  'LogForwardResponse.Status': ['ACK', 'RETRY', 'DROP'],
  'RegistrationResponse.Status': ['SUCCESS', 'ALREADY_REGISTERED', 'SERVER_FULL', 'INVALID_REQUEST'],
  'WorkerStatusNotification.StatusType': ['CREATED', 'RUNNING', 'COMPLETED', 'FAILED', 'TERMINATED'],
  'WorkerStatusAck.Status': ['RECEIVED', 'IGNORED', 'ERROR'],
  StageStatus: [
    ...['STAGE_PENDING', 'STAGE_RUNNING', 'STAGE_COMPLETED', 'STAGE_FAILED'],
    ...['STAGE_CANCELLED', 'STAGE_SKIPPED', 'STAGE_RETRYING'],
  ],
};

const definitions = loadSync(PROTO_FILE, { keepCase: true, longs: Number, enums: String, defaults: true });

for (const { message, value, wire } of GOLDEN) {
  test(`${message} is ${wire.slice(0, 24)}… on the wire, both ways`, () => {
    const bytes = Buffer.from(wire.replaceAll(/\s/g, ''), 'hex');
    const type = definitions[`ottoscaler.v1.${message}`] as unknown as Message;
    assert.equal(Buffer.from(type.serialize(sparse(value))).toString('hex'), bytes.toString('hex'));
    assert.deepEqual({ ...type.deserialize(bytes) }, value);
  });
}

for (const [name, values] of Object.entries(ENUMS)) {
  test(`${name} counts from 0 in the order of the table`, () => {
    const [outer, inner] = name.split('.');
    const { type } = definitions[`ottoscaler.v1.${outer}`] as unknown as { type: Enum & { enumType?: Enum[] } };
    const found = type.enumType?.find((one) => one.name === inner) ?? type;
    assert.deepEqual(
      found.value.map((one) => [one.name, one.number]),
      values.map((value, number) => [value, number]),
    );
  });
}

const METHODS: [path: string, requestStream: boolean, responseStream: boolean][] = [
  ['/ottoscaler.v1.LogStreamingService/StreamLogs', true, true],
  ['/ottoscaler.v1.LogStreamingService/RegisterWorker', false, false],
  ['/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs', true, true],
  ['/ottoscaler.v1.OttoHandlerLogService/NotifyWorkerStatus', false, false],
];

test('the methods stand at the paths of the contract, and stream where it says so', () => {
  const services = ['LogStreamingService', 'OttoHandlerLogService'].map((name) => definitions[`ottoscaler.v1.${name}`]);
  const methods = services.flatMap((service) => Object.values(service as unknown as Record<string, Method>));
  assert.deepEqual(
    methods.map((method) => [method.path, method.requestStream, method.responseStream]),
    METHODS,
  );
});

interface Message {
  serialize(value: object): Uint8Array;
  deserialize(bytes: Buffer): object;
}

interface Enum {
  name: string;
  value: { name: string; number: number }[];
}

/** Without the members that have their default, which need not be sent. */
function sparse(value: object): object {
  const sent = Object.entries(value).filter(([, member]) => ![0, '', 'ACK'].includes(member as never));
  return Object.fromEntries(
    sent.map(([name, member]) => [name, isMessage(member) ? sparse(member) : (member as unknown)]),
  );
}

function isMessage(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface Method {
  path: string;
  requestStream: boolean;
  responseStream: boolean;
}
