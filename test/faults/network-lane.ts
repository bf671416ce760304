import { FATES } from '../faulty-proxy.ts';
import { all, type Proxies } from './relay-host.ts';
import { rest } from './stage.ts';
import type { Weather } from './weather.ts';

/** Ill-treats a connection every so often; then all is well again. */
export async function troubleNetwork(weather: Weather, proxies: Proxies): Promise<void> {
  const { random, over, isOver, tally, pulse, inFlight, plan } = weather;
  await weather.begun;
  const ills = [...FATES, 'refuse'] as const;
  for (let turn = random.below(ills.length); !isOver(); turn++) {
    await rest(250 + random.below(600), over);
    const kind = ills[turn % ills.length];
    const ms = 200 + random.below(1300);
    // Only agents' chunks have a checksum of their own where there is no TLS.
    const plain = kind === 'corrupt' && !plan.secure;
    const [name, proxy] = plain ? (['agents', proxies.agents] as const) : random.pick(SHARES).of(proxies);
    if (kind === 'refuse') {
      tally.add({ kind, at: `${name}' connections`, inFlight: inFlight() });
      proxy.refuse(true);
      void rest(ms, over).then(() => {
        proxy.refuse(false);
        pulse.faultOver();
      });
      continue;
    }
    const victim = proxy.inflict(kind, { random, ms });
    if (victim === undefined) continue;
    tally.add({ kind, at: `${name}' connections`, inFlight: inFlight() });
    const task = /\/tasks\/([\w-]+)/.exec(victim.request)?.[1];
    void rest(kind === 'stall' || kind === 'slow' ? ms : 0, over).then(() => pulse.faultOver(task));
  }
  for (const proxy of all(proxies)) proxy.calm();
}

const SHARES = [
  { of: ({ agents }: Proxies) => ['agents', agents] as const },
  { of: ({ agents }: Proxies) => ['agents', agents] as const },
  { of: ({ agents }: Proxies) => ['agents', agents] as const },
  { of: ({ clients }: Proxies) => ['clients', clients] as const },
  { of: ({ clients }: Proxies) => ['clients', clients] as const },
  { of: ({ grpc }: Proxies) => ['workers', grpc] as const },
];
