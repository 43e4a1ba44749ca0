// The page: binds what is seen to the session. All text is set as text: names and messages may be anything.

import { isName, pageOf, readAddress } from './address';
import type { Address } from './address';
import { Meter } from './meter';
import type { Rates } from './meter';
import { Session } from './session';
import { publish } from './state';
import { urlOf, wayOf, ways } from './ways';
import { latencyText, noticeOf } from './words';

function find<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

function show(id: string, text: string): void {
  const element = find(id, HTMLElement);
  if (element.textContent !== text) element.textContent = text;
}

const address = readAddress(location);
if (address.valid) playStream(address);
else askForName(address);

/** The page without a stream: a form. */
function askForName(where: Address): void {
  find('ask', HTMLElement).hidden = false;
  const form = find('ask-form', HTMLFormElement);
  const field = find('ask-name', HTMLInputElement);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const name = field.value.trim().replace(/^\/+|\/+$/g, '');
    const wrong = isName(name) ? '' : 'Two parts at least, with a slash between them: live/cam1';
    field.setCustomValidity(wrong);
    if (wrong === '') location.assign(pageOf(name) + location.search);
    else field.reportValidity();
  });
  field.addEventListener('input', () => field.setCustomValidity(''));
  field.value = where.name;
  field.focus();
  publish({ state: 'form' });
}

function playStream(where: Address): void {
  document.title = `${where.name} · Vigil`;
  show('name', where.name);
  find('player', HTMLElement).hidden = false;
  const video = find('video', HTMLVideoElement);
  let rates: Rates = { bitrate: undefined, fps: undefined, dropped: undefined, frames: undefined };
  const meter = new Meter(video);
  const draw = (): void => drawAll(where, session, video, rates);
  const session = new Session(video, where, wayOf(where.via)?.via, draw);
  session.muted = video.muted = where.muted;
  let counted = session.via;
  setInterval(() => {
    if (counted !== session.via) meter.forget();
    counted = session.via;
    rates = meter.take(session.bytes, session.via === 'hls' || session.via === 'll-hls');
    draw();
  }, 1000);
  setInterval(() => tell(where, session, video, rates), 200);
  find('start', HTMLButtonElement).addEventListener('click', () => session.resume());
  find('unmute', HTMLButtonElement).addEventListener('click', () => session.unmute());
  find('retry', HTMLButtonElement).addEventListener('click', () => session.start());
  listWays(session, draw);
  listAddresses(where);
  if (where.autoplay) session.start();
  else draw();
}

function listWays(session: Session, draw: () => void): void {
  const box = find('ways', HTMLElement);
  for (const way of [undefined, ...ways]) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = way?.title ?? 'Automatic';
    button.dataset.via = way?.via ?? '';
    button.addEventListener('click', () => {
      const here = new URL(location.href);
      if (way) here.searchParams.set('via', way.via);
      else here.searchParams.delete('via');
      history.replaceState(null, '', here);
      session.choose(way?.via);
      draw();
    });
    box.append(button);
  }
}

/** Addresses for other programs. The ports of RTMP and RTSP are the usual ones: the page cannot know them. */
function listAddresses(where: Address): void {
  const host = location.hostname;
  const list: [string, string][] = [
    ['HTTP-FLV', urlOf(where, '.live.flv')],
    ['WebSocket-FLV', urlOf(where, '.live.flv', true)],
    ['HTTP-fMP4', urlOf(where, '.live.mp4')],
    ['HTTP-TS', urlOf(where, '.live.ts')],
    ['HLS', urlOf(where, '/index.m3u8')],
    ['RTMP', `rtmp://${host}/${where.path}${where.query}`],
    ['RTSP', `rtsp://${host}:8554/${where.path}${where.query}`],
  ];
  const box = find('addresses', HTMLElement);
  for (const [title, url] of list) {
    const row = document.createElement('div');
    const label = document.createElement('label');
    const field = document.createElement('input');
    const copy = document.createElement('button');
    field.id = `address-${title.toLowerCase()}`;
    field.readOnly = true;
    field.value = url;
    label.htmlFor = field.id;
    label.textContent = title;
    copy.type = 'button';
    copy.textContent = 'Copy';
    copy.setAttribute('aria-label', `Copy the ${title} address`);
    copy.addEventListener('click', () => void copyFrom(field).then((done) => {
      copy.textContent = done ? 'Copied' : 'Press Ctrl+C';
      setTimeout(() => (copy.textContent = 'Copy'), 2000);
    }));
    row.append(label, field, copy);
    box.append(row);
  }
}

/** Pages that are not served by HTTPS have no clipboard: there the text is selected and copied the old way. */
async function copyFrom(field: HTMLInputElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.select();
    return document.execCommand('copy');
  }
}

function drawAll(where: Address, session: Session, video: HTMLVideoElement, rates: Rates): void {
  const notice = noticeOf(session, performance.now());
  show('notice-title', notice.title);
  show('notice-detail', notice.detail);
  find('notice', HTMLElement).hidden = notice.title === '' && notice.detail === '';
  const waits = session.state === 'idle' || session.state === 'paused' || session.autoplay === 'blocked';
  find('start', HTMLElement).hidden = !waits || session.state === 'failed';
  find('unmute', HTMLElement).hidden = session.autoplay !== 'muted';
  find('retry', HTMLElement).hidden = session.state !== 'failed' && session.state !== 'waiting';
  for (const button of document.querySelectorAll<HTMLButtonElement>('#ways button')) {
    button.setAttribute('aria-pressed', String((button.dataset.via ?? '') === (session.chosen ?? '')));
  }
  const [latency, meaning] = latencyText(session.latency());
  show('latency', latency);
  show('latency-of', meaning);
  const via = session.via && wayOf(session.via)?.title;
  show('via', via ? [via, session.playerName].filter((text) => text !== '').join(' by ') : '–');
  show('state', session.state);
  show('codecs', session.codecs.join(', ') || '–');
  show('size', video.videoWidth > 0 ? `${video.videoWidth} × ${video.videoHeight}` : '–');
  show('fps', rates.fps === undefined ? '–' : `${rates.fps.toFixed(1)} /s`);
  show('bitrate', rates.bitrate === undefined ? '–' : bits(rates.bitrate));
  show('dropped', rates.dropped === undefined ? '–' : `${rates.dropped} of ${rates.frames ?? 0}`);
  show('tried', session.tried.map((one) => `${wayOf(one.via)?.title ?? one.via}: ${one.why.message}`).join('; ') || '–');
  tell(where, session, video, rates);
}

function bits(rate: number): string {
  return rate >= 1e6 ? `${(rate / 1e6).toFixed(2)} Mbit/s` : `${Math.round(rate / 1e3)} kbit/s`;
}

/** For tests, and for pages that embed this one. */
function tell(where: Address, session: Session, video: HTMLVideoElement, rates: Rates): void {
  const latency = session.latency();
  publish({
    stream: where.name,
    state: session.state,
    via: session.via ?? null,
    player: session.playerName,
    error: session.error ?? null,
    tried: session.tried,
    codecs: session.codecs,
    silent: session.silent,
    latency: latency?.seconds ?? null,
    latencyOf: latency?.of ?? null,
    currentTime: video.currentTime,
    width: video.videoWidth,
    height: video.videoHeight,
    fps: rates.fps ?? null,
    bitrate: rates.bitrate ?? null,
    bytes: session.bytes,
    frames: rates.frames ?? null,
    dropped: rates.dropped ?? null,
    muted: video.muted,
    autoplay: session.autoplay,
    reconnects: session.reconnects,
  });
}
