import { createClient, pipelinesPage, type Pipeline } from 'keruta/client';
import { LogViewer } from 'keruta/react';
import { useEffect, useState, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';

/** A page that shows the log of a pipeline, or of everything: `?relay=http://localhost:8080&token=…&pipeline=…` */
const query = new URLSearchParams(location.search);
const token = query.get('token');
const client = createClient({
  url: query.get('relay') ?? 'http://localhost:8080',
  ...(token !== null && { token }),
});

function App(): ReactNode {
  const [pipelines, setPipelines] = useState<Pipeline[]>([]);
  const [problem, setProblem] = useState('');
  const [shown, setShown] = useState(query.get('pipeline') ?? '');
  useEffect(() => {
    const leave = new AbortController();
    pipelinesPage(client, { signal: leave.signal }).then(
      ({ content }) => setPipelines(content),
      (error: unknown) => {
        if (!leave.signal.aborted) setProblem(String(error));
      },
    );
    return () => leave.abort();
  }, []);
  const ids = pipelines.map(({ pipelineId }) => pipelineId);
  if (shown !== '' && !ids.includes(shown)) ids.unshift(shown);
  return (
    <>
      <label>
        Pipeline{' '}
        <select value={shown} onChange={({ target }) => setShown(target.value)}>
          <option value="">all</option>
          {ids.map((id) => (
            <option key={id}>{id}</option>
          ))}
        </select>
      </label>
      <p role="alert">{problem}</p>
      <LogViewer client={client} height="400px" {...(shown !== '' && { jobRunId: shown })} />
    </>
  );
}

const root = document.getElementById('root');
if (root !== null) createRoot(root).render(<App />);
