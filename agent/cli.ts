/**
 * The agent's entry. The spool's thread takes longer to start than all else that a run needs, so it is started before
 * the command line is even read; the rest loads meanwhile.
 */
if (process.argv[2] === 'execute') await import('./warm-spool.ts');
await import('./cli-program.ts');
