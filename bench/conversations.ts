import type { Conversation } from './viewers-peer.ts';

/** How a viewer over each API asks for a task from now on; the task is a pipeline of the same name, too. */
export function conversations(task: string): readonly Conversation[] {
  const events = { steps: ['text/event-stream'] };
  return [
    keruta('keruta, a named task', { taskId: task }),
    keruta('keruta, a pipeline', { pipelineId: task }),
    keruta('keruta, everything', { all: true }),
    {
      name: 'Stratal, WebSocket',
      path: `/api/v1/logs/stream/ws?job_run_id=${task}`,
      upgrade: '',
      steps: ['Connected'],
    },
    { name: 'Stratal, SSE', path: '/api/v1/logs/stream/sse', steps: ['event: connected'] },
    { name: 'Otto, SSE', path: `/api/v1/log-streaming/logs/${task}/stream`, ...events },
    {
      name: 'Otto, Socket.IO',
      path: '/socket.io/?EIO=4&transport=websocket',
      upgrade: '',
      steps: [
        ['pingInterval', '40/log-streaming,'],
        ['features', `42/log-streaming,["subscribe-to-logs",{"taskId":"${task}"}]`],
        'subscription_success',
      ],
      alive: '3',
    },
  ];
}

/** A viewer of one task over keruta's WebSocket, as a web page does it. */
export function watcher(task: string, options: object): Conversation {
  const subscribe = JSON.stringify({ type: 'subscribe', options });
  const steps: Conversation['steps'] = [['101', subscribe], '"subscribed"'];
  return { name: 'keruta, a task', path: `/ws/tasks/${task}`, upgrade: 'keruta.view.v1', steps };
}

function keruta(name: string, about: object): Conversation {
  const subscribe = JSON.stringify({ type: 'subscribe', subscription: 's', ...about, options: { from: 'now' } });
  return { name, path: '/ws', upgrade: 'keruta.view.v1', steps: [['101', subscribe], '"subscribed"'] };
}
