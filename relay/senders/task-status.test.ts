import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KerutaError } from '../../shared/errors.ts';
import { CANCELLED, FAILED, SUCCEEDED } from './sent-run.ts';
import { readStatus, type StatusUpdate } from './task-status.ts';

const NOTHING = { message: null, errorCode: null };

describe('a status is read', () => {
  const rows: [string, object, StatusUpdate][] = [
    ['that announces a task', { status: 'PENDING' }, { effect: 'pending', note: NOTHING }],
    ['that says it runs', { status: 'PROCESSING' }, { effect: 'running', note: NOTHING }],
    ['that says so in another word', { status: 'in_progress' }, { effect: 'running', note: NOTHING }],
    [
      'that waits for somebody',
      { status: 'WAITING_FOR_INPUT', message: 'really?' },
      { effect: 'running', note: { ...NOTHING, message: 'really?' } },
    ],
    [
      'that ends well',
      { status: 'COMPLETED', progress: 100 },
      { effect: SUCCEEDED, note: { ...NOTHING, progress: 100 } },
    ],
    [
      'that ends badly',
      { status: 'FAILED', message: 'no disk', errorCode: 'E_DISK' },
      { effect: FAILED, note: { message: 'no disk', errorCode: 'E_DISK' } },
    ],
    [
      'that is taken back',
      { status: 'CANCELLED', progress: null },
      { effect: CANCELLED, note: { ...NOTHING, progress: null } },
    ],
    ['that is spelt otherwise', { status: 'Canceled' }, { effect: CANCELLED, note: NOTHING }],
  ];
  for (const [what, body, update] of rows) test(what, () => assert.deepEqual(readStatus(body), update));
});

describe('a status is refused', () => {
  const rows: [string, unknown, RegExp][] = [
    ['that is no object', 'COMPLETED', /no JSON object/],
    ['that is a list', ['COMPLETED'], /no JSON object/],
    ['that is missing', {}, /^status is missing; it may be PENDING,/],
    ['that nobody knows', { status: 'DONE' }, /^status is "DONE"; it may be PENDING/],
    ['of the prototype', { status: '__proto__' }, /^status is "__proto__"; it may be/],
    ['that is a number', { status: 1 }, /^status is no text; it may be/],
    ['that is endless', { status: 'x'.repeat(5000) }, /^status is "x{64}"; it may be/],
    ['with a message that is a number', { status: 'FAILED', message: 1 }, /^message is no text\.$/],
    [
      'with an endless message',
      { status: 'FAILED', message: 'x'.repeat(4097) },
      /message has 4097 characters; 4096 are allowed/,
    ],
    ['with a code that is an object', { status: 'FAILED', errorCode: {} }, /errorCode is no text/],
    ['with progress that is text', { status: 'RUNNING', progress: '5' }, /progress must be a number from 0 to 100/],
    ['with progress over 100', { status: 'RUNNING', progress: 100.5 }, /progress must/],
    ['with progress that is negative', { status: 'RUNNING', progress: -1 }, /progress must/],
    ['with progress beyond all numbers', JSON.parse('{"status":"RUNNING","progress":1e999}'), /progress must/],
  ];
  for (const [what, body, message] of rows) {
    test(what, () => {
      assert.throws(
        () => readStatus(body),
        (error: unknown) =>
          error instanceof KerutaError && error.code === 'INVALID_INPUT' && message.test(error.message),
      );
    });
  }
});
