import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BuildOptions, Plugin } from 'esbuild';

const URL_OF_FILE = "const keruta_url=require('node:url').pathToFileURL(__filename).href;";

/** How the agent's files are built: each as one of CommonJS, whose modules run when they are first asked for. */
export const LEAN = {
  format: 'cjs',
  // .cjs is no module wherever the folder is copied to, whatever a package.json above it says.
  outExtension: { '.js': '.cjs' },
  splitting: false,
  // Without it Node's loader for modules would be asked for what is in the same script.
  supported: { 'dynamic-import': false },
  define: { 'import.meta.url': 'keruta_url' },
  // As modules are.
  banner: { js: `"use strict";${URL_OF_FILE}` },
  plugins: [filesBeside(), leanWebSocket()],
} satisfies BuildOptions;

/**
 * Its command line: a script whose value is a function that runs it, given `require` and its file's name. One file is
 * found, read and taken from the code cache (scripts/launchers.ts) in a fraction of the time that fifty take, and a
 * short job does little else.
 */
export const LEAN_SCRIPT = {
  ...LEAN,
  banner: { js: `(function(require,__filename){"use strict";${URL_OF_FILE}` },
  footer: { js: '})' },
} satisfies BuildOptions;

/** Packages that most runs do without, in files of their own. */
export const BESIDE = ['https-proxy-agent', 're2js', 'undici', 'yaml'];

function filesBeside(): Plugin {
  return {
    name: 'files-beside',
    setup(build) {
      build.onResolve({ filter: /^[a-z0-9-]+$/ }, ({ path, kind }) =>
        BESIDE.includes(path) && kind !== 'entry-point' ? { path: `./${path}.cjs`, external: true } : undefined,
      );
    },
  };
}

/** Of ws the client alone, and what that asks for at once only when there is a use for it. */
function leanWebSocket(): Plugin {
  return {
    name: 'lean-web-socket',
    setup(build) {
      build.onResolve({ filter: /^(ws|https|tls|bufferutil)$/ }, ({ path, importer, kind, namespace }) => {
        const fromWs = kind === 'require-call' && namespace === 'file' && importer.includes('/node_modules/ws/');
        return path === 'ws' || fromWs ? { path, namespace: 'lean' } : undefined;
      });
      build.onLoad({ filter: /.*/, namespace: 'lean' }, ({ path }) => ({
        contents: LEAN_MODULES[path],
        resolveDir: import.meta.dirname,
      }));
    },
  };
}

const WS_CLIENT = join(dirname(fileURLToPath(import.meta.resolve('ws'))), 'lib/websocket.js');

const LEAN_MODULES: Record<string, string> = {
  ws: `exports.WebSocket = require(${JSON.stringify(WS_CLIENT)});`,
  https: "exports.request = (...args) => require('node:https').request(...args);",
  tls: "exports.connect = (...args) => require('node:tls').connect(...args);",
  // Native masking is worth its loading for large frames only. The package is not needed.
  bufferutil: `
    let native;
    function load() {
      try { return require('bufferutil'); } catch { return {}; }
    }
    exports.mask = (source, mask, output, offset, length) => {
      if (length >= 1024 && (native ??= load()).mask) native.mask(source, mask, output, offset, length);
      else for (let i = 0; i < length; i++) output[offset + i] = source[i] ^ mask[i & 3];
    };
    exports.unmask = (buffer, mask) => {
      if (buffer.length >= 1024 && (native ??= load()).unmask) native.unmask(buffer, mask);
      else for (let i = 0; i < buffer.length; i++) buffer[i] ^= mask[i & 3];
    };`,
};
