/** A program in a document that says how it is run: ```` ```js run=node ````. */
export interface DocProgram {
  /** What runs it: `node`, `browser`, `sh`, `python`; each of them, if there are several. */
  run: string[];
  code: string;
  /** What else stands behind the fence, as `shows=build-1`. */
  given: Readonly<Record<string, string | undefined>>;
  /** Where its fence stands, from 1. */
  line: number;
}

/** The programs of a Markdown document, in order. Other code blocks are not ours to run. */
export function programsIn(markdown: string): DocProgram[] {
  const programs: DocProgram[] = [];
  let open: { given: Record<string, string | undefined>; code: string[]; line: number } | undefined;
  markdown.split('\n').forEach((text, index) => {
    if (open !== undefined && text === '```') {
      const { code, line } = open;
      const { run, ...given } = open.given;
      if (run !== undefined) programs.push({ run: run.split(','), given, code: `${code.join('\n')}\n`, line });
      open = undefined;
    } else if (open !== undefined) {
      open.code.push(text);
    } else if (text.startsWith('```')) {
      const words = Array.from(text.matchAll(/\s(\w+)=(\S+)/g), ([, name, value]) => [name, value] as const);
      open = { given: Object.fromEntries(words), code: [], line: index + 1 };
    }
  });
  return programs;
}
