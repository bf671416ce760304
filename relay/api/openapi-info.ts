import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';

/** What the document says beside the routes. */
export function openapiInfo(version: string): FastifyDynamicSwaggerOptions['openapi'] {
  return {
    openapi: '3.1.0',
    info: {
      title: 'keruta logs',
      version,
      description: [
        'Logs of jobs: read, searched, exported and written over HTTP. Times are ISO 8601 in UTC with milliseconds; line',
        'numbers count 1, 2, 3, … over all sources of a task. Whatever is missing is shown as a gap, never left out.',
        'Every answer bears X-Request-Id; every error is the JSON of the schema Error, or of the one that the routes of',
        "Stratal's and Otto's APIs name. Live logs come over WebSocket at /ws/tasks/{taskId} and /ws, and where those",
        'APIs have them. GET answers HEAD, too.',
      ].join(' '),
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/', description: 'This relay' }],
    tags: [
      { name: 'logs', description: "Lines of a task's log" },
      { name: 'tasks', description: 'Tasks and their runs' },
      { name: 'pipelines', description: 'Groups of tasks' },
      { name: 'stratal', description: "Stratal's API: streams, pages and downloads of job runs and task runs" },
      { name: 'otto', description: "Otto's API: logs and progress as server-sent events" },
      { name: 'health', description: 'For probes; no token is needed' },
      { name: 'operation', description: 'For those who run the relay' },
    ],
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A token, an API key or a JSON Web Token' },
        apiKey: { type: 'apiKey', in: 'header', name: 'X-API-Key' },
        query: { type: 'apiKey', in: 'query', name: 'token', description: 'Where no header can be set' },
      },
    },
    // Any of them. None of them where the relay wants no tokens.
    security: [{ bearer: [] }, { apiKey: [] }, { query: [] }],
  };
}
