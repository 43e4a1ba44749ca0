// The ways a stream can come, and which of them this browser can go.

import type { Address } from './address';

export type Via = 'ws-flv' | 'flv' | 'mse' | 'll-hls' | 'hls';

export interface Way {
  via: Via;
  title: string;
  /** What is after "app/name". */
  suffix: string;
  socket: boolean;
}

/** In the order in which they are tried: the quickest first. */
export const ways: readonly Way[] = [
  { via: 'ws-flv', title: 'WebSocket-FLV', suffix: '.live.flv', socket: true },
  { via: 'flv', title: 'HTTP-FLV', suffix: '.live.flv', socket: false },
  { via: 'mse', title: 'fMP4 over WebSocket', suffix: '.live.mp4', socket: true },
  { via: 'll-hls', title: 'LL-HLS', suffix: '/hls.fmp4.m3u8', socket: false },
  { via: 'hls', title: 'HLS', suffix: '/hls.m3u8', socket: false },
];

export function wayOf(via: string): Way | undefined {
  return ways.find((way) => way.via === via);
}

/** An address of the media. It is always on the page's own host, whatever the name looks like. */
export function urlOf(address: Address, suffix: string, socket = false): string {
  const origin = socket ? location.origin.replace(/^http/, 'ws') : location.origin;
  return `${origin}/${address.path}${suffix}${address.query}`;
}

/** The MediaSource of this browser: iPhones have the managed one only. */
export function mediaSource(): typeof MediaSource | undefined {
  return window.MediaSource ?? window.ManagedMediaSource;
}

export function nativeHLS(): boolean {
  return document.createElement('video').canPlayType('application/vnd.apple.mpegurl') !== '';
}

/** The codec strings of a media type: RFC 6381, section 3.2. */
export function codecsOf(type: string): string[] {
  const list = /codecs="?([^";]*)"?/i.exec(type)?.[1] ?? '';
  return list.split(',').map((codec) => codec.trim()).filter((codec) => codec !== '');
}

export function isVideo(codec: string): boolean {
  return /^(avc|hvc|hev|dvh|av01|vp0?[89])/i.test(codec);
}

/** What mpegts.js takes out of FLV. */
const inFLV = /^(avc1|avc3|hvc1|hev1|av01|mp4a\.40|mp4a\.6b|mp4a\.69|mp3$|opus$|flac$)/i;

export interface Choice {
  ways: Way[];
  /** The codecs that this browser does not play. */
  unplayable: string[];
  /** The picture can be played, the sound cannot: FLV without its sound. */
  silent: boolean;
}

/** Which ways can be tried for what the server says the stream is; '' is not known. */
export function choose(type: string): Choice {
  const source = mediaSource();
  const codecs = codecsOf(type);
  if (!source) {
    return { ways: nativeHLS() ? ways.filter((way) => way.via === 'll-hls' || way.via === 'hls') : [], unplayable: [], silent: false };
  }
  const unplayable = codecs.filter((codec) => !source.isTypeSupported(`video/mp4; codecs="${codec}"`));
  const video = codecs.filter(isVideo);
  const silent = unplayable.length > 0 && video.length > 0 && !unplayable.some(isVideo);
  const left = silent ? video : codecs;
  const can = (way: Way): boolean => {
    if (way.suffix === '.live.flv') return left.every((codec) => inFLV.test(codec));
    return unplayable.length === 0; // only FLV can be had without its sound
  };
  return { ways: unplayable.length === 0 || silent ? ways.filter(can) : [], unplayable, silent };
}
