import { createClient, tailGroups, type Filter, type Level, type TailEvent, type TailTarget } from 'keruta/client';
import { createApp, onScopeDispose, ref, shallowRef, useTemplateRef, watch, type Ref } from 'vue';

/** A page that shows a task's log: `?relay=http://localhost:8080&token=…&task=build-1` */
const query = new URLSearchParams(location.search);
const token = query.get('token');
const client = createClient({
  url: query.get('relay') ?? 'http://localhost:8080',
  ...(token !== null && { token }),
});
const task = query.get('task') ?? 'build-1';
const KEPT = 1000;

interface Row {
  key: string;
  text: string;
  level: Level | 'note';
}

/** The last lines of a log that match, and what follows. Another filter begins anew. */
function useLog(target: TailTarget, filter: Ref<Filter>) {
  const rows = shallowRef<readonly Row[]>([]);
  const status = ref('connecting');
  let leave = new AbortController();

  async function follow(signal: AbortSignal): Promise<void> {
    for await (const events of tailGroups(client, target, { lines: KEPT, filter: filter.value, signal })) {
      const shown = events.map(rowOf).filter((row) => row !== undefined);
      // Vue draws once, however many groups come before the next frame.
      if (shown.length > 0) rows.value = [...rows.value, ...shown].slice(-KEPT);
      status.value = statusOf(events.at(-1), status.value);
    }
  }

  watch(
    filter,
    () => {
      leave.abort();
      leave = new AbortController();
      const { signal } = leave;
      rows.value = [];
      status.value = 'connecting';
      follow(signal).catch((error: unknown) => {
        if (!signal.aborted) status.value = String(error);
      });
    },
    { immediate: true },
  );
  onScopeDispose(() => leave.abort());
  return { rows, status };
}

function rowOf(event: TailEvent): Row | undefined {
  switch (event.type) {
    case 'log':
      return { key: event.id, text: `${event.timestamp.slice(11, 23)} ${event.message}`, level: event.level };
    case 'gap':
      return { key: event.cursor, text: `— lines are missing (${event.reason}) —`, level: 'note' };
    case 'reset':
      return { key: `reset ${Date.now()}`, text: `— ${event.message} —`, level: 'note' };
    default:
      return undefined;
  }
}

function statusOf(event: TailEvent | undefined, before: string): string {
  if (event === undefined) return before;
  if (event.type === 'lag') return `no connection: ${event.problem}`;
  return event.type === 'end' ? event.status : 'live';
}

/** Keeps the newest row in sight, unless somebody has scrolled away from it. */
function followEnd(box: Readonly<Ref<HTMLElement | null>>, rows: Ref<readonly Row[]>): void {
  let atEnd = true;
  watch(rows, () => {
    const { value } = box;
    if (value !== null) atEnd = value.scrollHeight - value.scrollTop - value.clientHeight < 24;
  });
  watch(
    rows,
    () => {
      if (atEnd && box.value !== null) box.value.scrollTop = box.value.scrollHeight;
    },
    { flush: 'post' },
  );
}

const App = {
  setup() {
    const text = ref('');
    const level = ref('');
    const filter = shallowRef<Filter>({});
    let pause: ReturnType<typeof setTimeout> | undefined;
    // Whoever types asks the relay when they pause.
    watch([text, level], () => {
      clearTimeout(pause);
      pause = setTimeout(() => {
        filter.value = {
          ...(text.value !== '' && { text: text.value }),
          ...(level.value !== '' && { levels: [level.value as Level] }),
        };
      }, 200);
    });
    onScopeDispose(() => clearTimeout(pause));
    const log = useLog({ task }, filter);
    followEnd(useTemplateRef<HTMLElement>('box'), log.rows);
    return { task, text, level, levels: ['DEBUG', 'INFO', 'WARN', 'ERROR'], ...log };
  },
  template: `
    <h1>{{ task }}</h1>
    <p style="display: flex; gap: 8px">
      <input v-model="text" type="search" aria-label="Text" placeholder="Text">
      <select v-model="level" aria-label="Level">
        <option value="">all levels</option>
        <option v-for="one of levels" :key="one">{{ one }}</option>
      </select>
      <output>{{ status }}, {{ rows.length }} lines</output>
    </p>
    <div ref="box" role="log" tabindex="0"
         style="height: 400px; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; font-family: monospace">
      <div v-for="row of rows" :key="row.key" :data-level="row.level"
           :style="{ color: row.level === 'ERROR' ? '#b3261e' : row.level === 'WARN' ? '#8a5300' : '#1d1b20' }"
      >{{ row.text }}</div>
    </div>`,
};

createApp(App).mount('#root');
