/** What a program said, and what had to be on the disk before it might. Both are texts as the trace shows them. */
export interface Promised {
  answer: string;
  needs: string;
}

/** What `strace` has to show for `brokenPromises`: writes whole, descriptors with their paths. */
export const STRACE = [
  ...['strace', '-D', '-f', '--seccomp-bpf', '-yy', '-s', '8192'],
  ...['-e', 'trace=fsync,fdatasync,pwrite64,pwritev,pwritev2,write,writev,sendto,sendmsg'],
];

/**
 * Reads a trace and names every promise that it breaks: an answer that went to a socket before what it needs was
 * written to the file that ends with `file`, and a sync of that file, begun afterwards, had succeeded. An answer that
 * never came is broken too. A call that another thread's interrupts stands in two lines; it counts as a sync when it
 * has returned, and as an answer when it begins.
 */
export function brokenPromises(trace: string, file: string, promises: readonly Promised[]): string[] {
  const written = new Set<string>();
  const durable = new Set<string>();
  /** By thread: what its sync covers, and what its write writes. */
  const syncs = new Map<string, string[]>();
  const writes = new Map<string, string[]>();
  const broken = new Map(promises.map(({ answer }) => [answer, `${answer} never left`]));
  for (const line of trace.split('\n')) {
    const { thread, call, target, text, starts, result } = parse(line);
    if (starts && SYNC.has(call) && target.endsWith(file)) syncs.set(thread, [...written]);
    if (starts && target.endsWith(file) && !SYNC.has(call)) {
      const needed = promises.map(({ needs }) => needs).filter((needs) => text.includes(needs));
      writes.set(thread, needed);
    }
    if (starts && SOCKET.test(target)) {
      for (const { answer, needs } of promises) {
        if (!text.includes(answer)) continue;
        if (durable.has(needs)) broken.delete(answer);
        else broken.set(answer, `${answer} left before ${needs} was durable`);
      }
    }
    if (result === undefined) continue;
    if (SYNC.has(call)) {
      if (result === 0) for (const needs of syncs.get(thread) ?? []) durable.add(needs);
      syncs.delete(thread);
    } else {
      if (result > 0) for (const needs of writes.get(thread) ?? []) written.add(needs);
      writes.delete(thread);
    }
  }
  return [...broken.values()];
}

const SYNC = new Set(['fsync', 'fdatasync']);
const SOCKET = /^TCP/;

interface TraceLine {
  thread: string;
  call: string;
  /** What its descriptor is: a path, or `TCP:[…]`. Empty in a call's second line. */
  target: string;
  text: string;
  starts: boolean;
  /** Undefined while the call has not returned. */
  result: number | undefined;
}

/** `12 write(3</a/b>, "x", 1) = 1`, `12 write(3</a/b>, "x", 1 <unfinished ...>`, `12 <... write resumed>) = 1` */
function parse(line: string): TraceLine {
  const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
  const resumed = /^<\.\.\. (\w+) resumed>/.exec(rest);
  const started = /^(\w+)\(\d+<([^>]*(?:->[^>]*)?)>(.*)$/.exec(rest);
  const returned = /\) += (-?\d+)[^"]*$/.exec(rest);
  return {
    thread,
    call: resumed?.[1] ?? started?.[1] ?? '',
    target: started?.[2] ?? '',
    text: (started?.[3] ?? '').replaceAll('\\"', '"'),
    starts: started !== null,
    result: returned ? Number(returned[1]) : undefined,
  };
}
