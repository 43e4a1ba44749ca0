// build.mjs [--check]: typechecks, and bundles src into dist. With --check it changes nothing and fails when dist is not what the
// sources make. The same sources make the same bytes, on every machine.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

/** The packages whose code is in the bundles, those inside of the libraries' own builds included. */
const bundled = ['hls.js', 'mpegts.js', 'es6-promise', 'events'];

typecheck();
if (process.argv.includes('--check')) await check();
else await make(dist);

function typecheck() {
  const { status } = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', here], { stdio: 'inherit' });
  if (status !== 0) process.exit(1); // it has said why
}

async function make(folder) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: { main: 'src/main.ts', style: 'src/style.css' },
    outdir: folder,
    bundle: true,
    minify: true,
    splitting: true,
    format: 'esm',
    target: 'es2020',
    charset: 'utf8',
    legalComments: 'none', // they are in LICENSES.txt
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    metafile: true,
    logLevel: 'warning',
  });
  const names = Object.keys(metafile.outputs).map((path) => basename(path));
  const named = (begin, end) => names.find((name) => name.startsWith(`${begin}-`) && name.endsWith(end));
  const page = readFileSync(join(here, 'src/index.html'), 'utf8')
    .replace('{{main}}', named('main', '.js'))
    .replace('{{style}}', named('style', '.css'));
  writeFileSync(join(folder, 'index.html'), page);
  writeFileSync(join(folder, 'LICENSES.txt'), licences());
}

function licences() {
  const parts = bundled.map((name) => {
    const folder = join(here, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const text = readFileSync(join(folder, 'LICENSE'), 'utf8').replaceAll('\r\n', '\n').trim();
    return `${name} ${version} (${license})\n\n${text}\n`;
  });
  const inside = readFileSync(join(here, 'licences.txt'), 'utf8').trim() + '\n';
  return ['The playback page of Vigil contains these libraries.\n', ...parts, inside].join(`\n${'='.repeat(80)}\n\n`);
}

async function check() {
  const folder = mkdtempSync(join(tmpdir(), 'vigil-web-'));
  try {
    await make(folder);
    const differing = difference(folder, dist);
    if (differing.length === 0) return;
    process.stderr.write(`web: dist is not what the sources make: ${differing.join(', ')}\nweb: run "make web" and commit web/dist\n`);
    process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function difference(a, b) {
  const files = new Set([...list(a), ...list(b)]);
  return [...files].filter((name) => !list(a).includes(name) || !list(b).includes(name) ||
    !readFileSync(join(a, name)).equals(readFileSync(join(b, name)))).sort();
}

function list(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
