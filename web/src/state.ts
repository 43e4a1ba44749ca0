// What the page tells tests and other scripts: window.vigil, and the attributes data-state, data-via and data-error of the root.
// It is described in README.md; what is there does not change its meaning.

import type { Failure } from './failure';
import type { State } from './session';
import type { Via } from './ways';

export interface Stream {
  stream: string;
  state: State;
  via: Via | null;
  player: string;
  error: Failure | null;
  tried: { via: Via; why: Failure }[];
  codecs: string[];
  silent: boolean;
  latency: number | null;
  latencyOf: 'buffer' | 'clock' | 'playlist' | null;
  currentTime: number;
  width: number;
  height: number;
  fps: number | null;
  bitrate: number | null;
  bytes: number;
  frames: number | null;
  dropped: number | null;
  muted: boolean;
  autoplay: 'allowed' | 'muted' | 'blocked';
  reconnects: number;
}

export type Told = Stream | { state: 'form' };

declare global {
  interface Window {
    vigil?: Told;
  }
}

export function publish(now: Told): void {
  window.vigil = now;
  const { dataset } = document.documentElement;
  dataset.state = now.state;
  dataset.via = 'via' in now && now.via ? now.via : '';
  dataset.error = 'error' in now && now.error ? now.error.word : '';
}
