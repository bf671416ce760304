import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { openFilePipeline } from './file-pipeline.ts';
import { findProgram, versionOf } from './programs.ts';
import type { Pipeline } from './pipeline.ts';

/** Fluent Bit to Fluent Bit, over forward with acknowledgements. */
export function fluentBitPipelines(): { pipelines: Pipeline[]; skipped: string[] } {
  const program = findProgram('fluent-bit');
  if (program === undefined) return { pipelines: [], skipped: ['fluent-bit is not on the PATH and was not measured.'] };
  const fluentBit: Pipeline = {
    name: 'Fluent Bit',
    version: versionOf(program, '--version'),
    note: 'exec → filesystem buffer → forward with acks → filesystem buffer → file. Nothing is synced to the disk.',
    open: async ({ folder, text, lines }) => {
      const port = await freePort();
      return openFilePipeline({
        folder,
        port,
        file: join(folder, FILE),
        lines,
        command: (config) => [program, '-c', config],
        receiver: (work) => receiverConfig({ work, port, folder }),
        sender: (work) => senderConfig({ work, port, text }),
      });
    },
  };
  return { pipelines: [fluentBit], skipped: [] };
}

const FILE = 'received.log';

/**
 * What both have in common: chunks also in files, so that a process that ends loses none; as long as one likes for the
 * last of them at a stop; a second to five between attempts (else up to half an hour).
 */
function service(work: string): string {
  return `[SERVICE]
    flush           1
    grace           10
    log_level       error
    scheduler.base  1
    scheduler.cap   5
    storage.path    ${join(work, 'storage')}
    storage.sync    normal
`;
}

/** `require_ack_response` makes it at least once, `no_limits` keeps it trying. */
function senderConfig({ work, port, text }: { work: string; port: number; text: string }): string {
  return `${service(work)}
[INPUT]
    name            exec
    tag             bench
    command         cat ${text}
    oneshot         true
    buf_size        64k
    storage.type    filesystem

[OUTPUT]
    name                  forward
    match                 *
    host                  127.0.0.1
    port                  ${port}
    require_ack_response  true
    retry_limit           no_limits
`;
}

function receiverConfig({ work, port, folder }: { work: string; port: number; folder: string }): string {
  return `${service(work)}
[INPUT]
    name               forward
    listen             127.0.0.1
    port               ${port}
    buffer_chunk_size  1M
    buffer_max_size    64M
    storage.type       filesystem

[OUTPUT]
    name         file
    match        *
    path         ${folder}
    file         ${FILE}
    format       plain
    retry_limit  no_limits
`;
}
