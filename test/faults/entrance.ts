import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from 'selfsigned';
import { FaultyProxy } from '../faulty-proxy.ts';
import type { Context } from '../programs.ts';
import type { Entrance } from './contract.ts';
import type { RoundPlan } from './plan.ts';
import type { Proxies } from './relay-host.ts';

/** The proxies of a round, how its relay is reached through them, and what the relay has to be told for that. */
export interface OpenedEntrance {
  /** As clients find it; agents have a proxy of their own. */
  entrance: Entrance;
  /** As agents find it. */
  agentsUrl: string;
  proxies: Proxies;
  relayArgs: string[];
  relayEnv: Record<string, string>;
}

export async function openEntrance(context: Context, folder: string, plan: RoundPlan): Promise<OpenedEntrance> {
  const tls = plan.secure;
  const proxy = () => new FaultyProxy(0, undefined, { tls });
  const proxies: Proxies = { agents: proxy(), clients: proxy(), grpc: proxy() };
  const agents = await proxies.agents.start(context);
  const clients = await proxies.clients.start(context);
  const grpc = await proxies.grpc.start(context);
  const open = {
    agentsUrl: agents.url,
    proxies,
    entrance: { url: clients.url, grpc: `127.0.0.1:${grpc.port}` },
    relayArgs: plan.smallDisks ? ['--min-free', SMALL_MIN_FREE] : [],
    relayEnv: {},
  };
  if (!tls) return open;
  const { cert, private: key } = await generate([{ name: 'commonName', value: 'localhost' }], {
    algorithm: 'sha256',
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
        ],
      },
    ],
  });
  const [certFile, keyFile] = [join(folder, 'relay.pem'), join(folder, 'relay.key')];
  writeFileSync(certFile, cert);
  writeFileSync(keyFile, key);
  return {
    ...open,
    agentsUrl: agents.url.replace('http', 'https'),
    entrance: {
      ...open.entrance,
      url: clients.url.replace('http', 'https'),
      ca: cert,
      caFile: certFile,
      tokens: { ingest: TOKEN, read: TOKEN, admin: TOKEN },
    },
    relayArgs: [...open.relayArgs, '--tls-cert', certFile, '--tls-key', keyFile],
    relayEnv: { KERUTA_RELAY_AUTH_TOKENS: TOKEN },
  };
}

const TOKEN = 'a-token-of-the-storm-0123456789';
const SMALL_MIN_FREE = '2MiB';
