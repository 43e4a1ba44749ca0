// HLS and LL-HLS: by hls.js where there is a MediaSource, else by the browser itself (iPhones).

import Hls from 'hls.js/light';
import type { ErrorData } from 'hls.js';
import { explain, failure } from './failure';
import type { Failure } from './failure';
import { empty, once } from './player';
import type { Job, Latency, Player } from './player';

export function start(job: Job): Player {
  return Hls.isSupported() ? withLibrary(job) : withBrowser(job);
}

function withLibrary(job: Job): Player {
  const { video, listener } = job;
  const hls = new Hls({
    lowLatencyMode: true,
    enableWorker: false, // what is fMP4 already is not much work, and the page's policy needs no exception
    // What has been shown is left to the browser to drop, when its quota is used up. hls.js 1.7.4 may forget the parts of the segment that it is
    // loading when it drops something itself (fragment-tracker: a part that has come and is not in the buffer yet counts as evicted), and then
    // stands at the end of that segment until a seek.
    backBufferLength: Infinity,
    liveDurationInfinity: true,
    maxLiveSyncPlaybackRate: 1.1,
    xhrSetup: (xhr, url) => {
      const full = withQuery(url, job.query);
      if (full !== url) xhr.open('GET', full, true);
    },
  });
  let over = false;
  let recovered = false;
  const fail = (why: Failure): void => {
    if (over) return;
    over = true;
    listener.fail(why);
  };
  const ended = (): void => fail(failure('ended', 'done', 'the stream has ended'));
  hls.on(Hls.Events.ERROR, (_event, data) => {
    if (!data.fatal || over) return;
    if (data.type === Hls.ErrorTypes.NETWORK_ERROR) {
      void explain(job.why).then((why) => fail(why ?? failure('network', data.details, data.error.message)));
    } else if (data.type === Hls.ErrorTypes.MEDIA_ERROR && !recovered && !isCodec(data)) {
      recovered = true;
      hls.recoverMediaError();
    } else {
      fail(failure(isCodec(data) ? 'way' : 'media', isCodec(data) ? 'codec' : data.details, data.error.message));
    }
  });
  hls.on(Hls.Events.FRAG_LOADED, (_event, data) => listener.bytes((data.part ?? data.frag).stats.loaded));
  hls.on(Hls.Events.BUFFER_CODECS, (_event, data) => {
    const tracks = [data.video, data.audio, data.audiovideo].filter((track) => track !== undefined);
    const found = tracks.map((track) => track.levelCodec || track.codec || '').filter((codec) => codec !== '');
    if (found.length > 0) listener.codecs([...new Set(found.join(',').split(','))]);
  });
  hls.on(Hls.Events.LEVEL_UPDATED, (_event, data) => {
    if (isFarBehind(hls, data.details.targetduration) && !video.seeking && !video.paused) toLive(hls, video);
  });
  video.addEventListener('ended', ended);
  hls.loadSource(job.url);
  hls.attachMedia(video);
  return {
    name: `hls.js ${Hls.version}`,
    latency: () => latencyOf(hls),
    catchUp: () => toLive(hls, video),
    stop: once(() => {
      over = true;
      video.removeEventListener('ended', ended);
      hls.destroy();
      video.pause();
      empty(video);
    }),
  };
}

/** hls.js plays faster when it is a little late, and stays where it is when it is very late: after a pause of the network, say. */
function isFarBehind(hls: Hls, targetDuration: number): boolean {
  const target = hls.targetLatency;
  return target !== null && hls.latency > 2 * target + targetDuration;
}

function toLive(hls: Hls, video: HTMLVideoElement): void {
  if (hls.liveSyncPosition !== null) video.currentTime = hls.liveSyncPosition;
}

function isCodec(data: ErrorData): boolean {
  const { MANIFEST_INCOMPATIBLE_CODECS_ERROR, BUFFER_ADD_CODEC_ERROR, BUFFER_INCOMPATIBLE_CODECS_ERROR } = Hls.ErrorDetails;
  return [MANIFEST_INCOMPATIBLE_CODECS_ERROR, BUFFER_ADD_CODEC_ERROR, BUFFER_INCOMPATIBLE_CODECS_ERROR].includes(data.details);
}

function latencyOf(hls: Hls): Latency | undefined {
  return byClock(hls.playingDate) ?? (hls.latency > 0 ? { seconds: hls.latency, of: 'playlist' } : undefined);
}

/** Where the two clocks cannot be compared, there is no such latency. */
function byClock(shown: Date | null | undefined): Latency | undefined {
  if (!shown) return undefined;
  const seconds = (Date.now() - shown.getTime()) / 1000;
  return seconds > 0 && seconds < 300 ? { seconds, of: 'clock' } : undefined;
}

/** What a playlist names gets what the page was given, unless it has it. */
function withQuery(url: string, query: string): string {
  if (query === '' || new URL(url, location.href).origin !== location.origin) return url;
  const has = new URL(url, location.href).searchParams;
  const missing = query.slice(1).split('&').filter((part) => !has.has(new URLSearchParams(part).keys().next().value ?? ''));
  if (missing.length === 0) return url;
  return url + (url.includes('?') ? '&' : '?') + missing.join('&');
}

function withBrowser(job: Job): Player {
  const { video, listener } = job;
  let over = false;
  const fail = (why: Failure): void => {
    if (over) return;
    over = true;
    listener.fail(why);
  };
  const ended = (): void => fail(failure('ended', 'done', 'the stream has ended'));
  const broken = (): void => {
    const said = video.error?.message || 'the browser cannot play it';
    const kind = video.error?.code === MediaError.MEDIA_ERR_NETWORK ? 'network' : 'media';
    void explain(job.why).then((why) => fail(why ?? failure(kind, 'native', said)));
  };
  video.addEventListener('ended', ended);
  video.addEventListener('error', broken);
  video.src = job.url;
  return {
    name: 'the browser',
    latency: () => byClock(shownBySafari(video)),
    catchUp: () => {
      const { seekable } = video;
      if (seekable.length > 0) video.currentTime = seekable.end(seekable.length - 1);
    },
    stop: once(() => {
      over = true;
      video.removeEventListener('ended', ended);
      video.removeEventListener('error', broken);
      video.pause();
      empty(video);
    }),
  };
}

/** Safari tells the date of position 0. */
function shownBySafari(video: HTMLVideoElement & { getStartDate?: () => Date }): Date | undefined {
  const begin = video.getStartDate?.().getTime() ?? NaN;
  return Number.isNaN(begin) ? undefined : new Date(begin + video.currentTime * 1000);
}
