#!/usr/bin/env node
/*
 * npm runs `node-gyp rebuild` for packages with native code, also for those that have brought a binary that fits, and
 * node-gyp wants Python, a compiler and Node's headers just to find that there is nothing to do. In the PATH of install
 * scripts this stands before npm's own, to which it goes only where the package has no binary for this machine.
 * (npm 11.10 and newer don't ask: see allowScripts in package.json.)
 */
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { dirname, join } = require('node:path');

const binding = join(process.cwd(), 'lib/binding.js');
// better-sqlite3's own question, which its binding.gyp asks too: prints 1 if there is a binary for this machine.
const answer = existsSync(binding) ? spawnSync(process.execPath, [binding], { encoding: 'utf8' }).stdout : '';
if (answer.trim() !== '1') {
  const gyp = join(dirname(dirname(process.env.npm_execpath)), 'node_modules/node-gyp/bin/node-gyp.js');
  process.exitCode = spawnSync(process.execPath, [gyp, ...process.argv.slice(2)], { stdio: 'inherit' }).status ?? 1;
}
