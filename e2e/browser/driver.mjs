// driver.mjs ADDRESS: drives the Chromium whose DevTools listen there. It prints the port of 127.0.0.1 where it takes questions: the body of a
// POST is {"do":"open","page":"a","url":"http://..."}, the answer {"value":...} or {"error":"..."}.
//
//	open  page url       opens a page in a context of its own, which shares nothing with others
//	eval  page script    what a script says, run in the page
//	click page selector  presses an element, as a user does
//	take  page           what the page did: samples since they were last taken, and all requests, messages, violations, dialogs
//	close page

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const patience = 60_000; // milliseconds that one question may take
const linesMax = 500; // of what a page does, each kind
const slow = 1000; // milliseconds: a request that takes so long is told of
const sampler = readFileSync(new URL('sampler.js', import.meta.url), 'utf8');
const browser = await chromium.connectOverCDP(process.argv[2], { timeout: patience });
const pages = new Map();

/** What a page does, which tests judge. */
class Record {
  requests = [];
  messages = [];
  dialogs = [];
  odd = [];
  begun = new Map(); // requests that are not answered yet, and when they were made

  constructor(page) {
    this.opened = Date.now();
    page.on('request', (request) => {
      add(this.requests, request.url());
      this.begun.set(request, Date.now());
    });
    const note = (request, what) => {
      const line = this.line(request, what);
      if (what !== '' || this.age(request) > slow) add(this.odd, line);
      this.begun.delete(request);
    };
    page.on('requestfailed', (request) => note(request, request.failure()?.errorText ?? 'failed'));
    page.on('requestfinished', async (request) => {
      const status = (await request.response().catch(() => null))?.status() ?? 0;
      note(request, status >= 400 ? String(status) : '');
    });
    page.on('websocket', (socket) => add(this.requests, socket.url()));
    page.on('console', (message) => {
      if (message.type() !== 'error' && message.type() !== 'warning') return;
      add(this.messages, `${message.type()}: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => add(this.messages, `uncaught: ${error.stack ?? error}`));
    page.on('crash', () => add(this.messages, 'error: the page has crashed'));
    page.on('dialog', (dialog) => {
      add(this.dialogs, dialog.message());
      void dialog.dismiss();
    });
  }

  age(request) {
    return Date.now() - (this.begun.get(request) ?? this.opened);
  }

  line(request, what) {
    const age = this.age(request);
    return `at ${(Date.now() - age - this.opened) / 1000} s for ${age} ms: ${what} ${request.url()}`;
  }

  told() {
    const { requests, messages, dialogs, odd } = this;
    const open = [...this.begun.keys()].map((request) => this.line(request, 'not answered yet'));
    return { requests, messages, dialogs, odd: [...odd, ...open] };
  }
}

function add(list, line) {
  if (list.length < linesMax) list.push(line.slice(0, 2000));
}

const acts = {
  async open({ page: name, url }) {
    const context = await browser.newContext({ viewport: { width: 640, height: 480 } });
    await context.addInitScript({ content: sampler });
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    pages.set(name, { context, page, record: new Record(page) });
    await page.goto(url, { waitUntil: 'domcontentloaded' });
  },
  eval: ({ page, script }) => of(page).page.evaluate(script),
  click: ({ page, selector }) => of(page).page.click(selector),
  async take({ page: name }) {
    const { page, record } = of(name);
    const inside = await page.evaluate('window.sampled && { samples: sampled.samples.splice(0), violations: sampled.violations }');
    return { ...inside, ...record.told() };
  },
  async close({ page }) {
    await of(page).context.close();
    pages.delete(page);
  },
};

function of(name) {
  const found = pages.get(name);
  if (!found) throw new Error(`there is no page ${name}`);
  return found;
}

function within(promise) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${patience} ms`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function answer(text) {
  try {
    const asked = JSON.parse(text);
    const value = await within(Promise.resolve(asked).then(acts[asked.do]));
    return { value: value ?? null };
  } catch (err) {
    return { error: String(err?.stack ?? err).slice(0, 4000) };
  }
}

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (part) => (body += part)).on('end', async () => {
    response.end(JSON.stringify(await answer(body)));
  });
});
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
