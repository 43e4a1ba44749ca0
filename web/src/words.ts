// What is told to people.

import type { Failure } from './failure';
import type { Latency } from './player';
import type { Session } from './session';
import { isVideo, mediaSource } from './ways';

/** A headline and what can be done; '' is nothing. */
export interface Notice {
  title: string;
  detail: string;
}

const nothing: Notice = { title: '', detail: '' };

export function noticeOf(session: Session, now: number): Notice {
  const { error } = session;
  switch (session.state) {
    case 'idle':
      return { title: 'Ready', detail: 'Press play to begin.' };
    case 'probing':
    case 'connecting':
      // While it comes back, the reason stays readable.
      return error ? reason(error, 'Trying again now.') : { title: 'Looking for the stream', detail: '' };
    case 'waiting':
      return error ? reason(error, `Trying again in ${Math.max(1, Math.ceil((session.retryAt - now) / 1000))} s.`) : nothing;
    case 'failed':
      return error ? reason(error, '') : nothing;
    case 'paused':
      return { title: 'Paused', detail: 'Play goes on with the live picture, not where it stopped.' };
    case 'buffering':
      return { title: 'Nothing comes at the moment', detail: 'The encoder or the network is late.' };
    case 'playing':
      return session.silent ? { title: '', detail: 'Without sound: this browser does not play the stream’s audio codec.' } : nothing;
  }
}

function reason(why: Failure, next: string): Notice {
  const [title, advice] = explained(why);
  // What this page found out itself is not said twice.
  const said = why.message && why.kind !== 'codec' ? `The server or player says: ${why.message}.` : '';
  return { title, detail: [advice, said, next].filter((text) => text !== '').join(' ') };
}

function explained(why: Failure): [string, string] {
  switch (why.kind) {
    case 'absent':
      return ['The stream is not there', 'Nobody publishes it now, or its name is spelt differently.'];
    case 'ended':
      return ['The stream has ended', 'It plays again when it is published again.'];
    case 'busy':
      return ['The server has no room now', 'It takes no more viewers, or is being restarted.'];
    case 'network':
      return ['The connection is broken', 'Look at the network of this device.'];
    case 'denied':
      return ['You may not watch this', 'The server wants another token. It stands in the address of this page: ?token=…'];
    case 'name':
      return ['That is no name of a stream', 'The address must be /play/application/name.'];
    case 'kicked':
      return ['The server has ended this session', 'Somebody who looks after it did so.'];
    case 'codec':
      return ['This browser cannot play it', codecAdvice(why.message)];
    case 'way':
      return ['It cannot be played this way', 'Choose another way below.'];
    case 'media':
      return ['What came could not be played', 'Choose another way below, if it goes on like this.'];
  }
}

/** message names the codecs as RFC 6381 does: what people call them is added. */
function codecAdvice(message: string): string {
  if (!mediaSource()) return 'It has neither Media Source Extensions nor HLS: take a newer browser.';
  const found = message.charAt(0).toUpperCase() + message.slice(1);
  const otherwise = 'Or publish H.264 with AAC, or use VLC with an address below.';
  if (/hvc|hev/i.test(message)) {
    return `${found} (H.265). Take Safari, or Chrome or Edge on a device that decodes H.265. ${otherwise}`;
  }
  if (!message.split(/[ ,]+/).some(isVideo)) return `${found}, which is its sound. “Automatic” leaves the sound out. ${otherwise}`;
  if (/av01/i.test(message)) return `${found} (AV1). Take a newer browser or device. ${otherwise}`;
  return `${found}. Take another browser. ${otherwise}`;
}

export function latencyText(latency: Latency | undefined): [string, string] {
  if (!latency) return ['–', 'not known by this way'];
  const value = `${latency.seconds.toFixed(latency.seconds < 10 ? 2 : 1)} s`;
  switch (latency.of) {
    case 'buffer':
      return [value, 'received and not yet shown; encoder and network come on top'];
    case 'clock':
      return [value, 'since the server got the picture, if both clocks are right'];
    case 'playlist':
      return [value, 'behind the newest part in the playlist'];
  }
}
