// What every player is: one connection's worth of playing, in a video element that is the page's.

import type { Failure } from './failure';

/** Seconds behind, and behind what. */
export interface Latency {
  seconds: number;
  /**
   * - buffer: what has come and has not been shown. The network and the encoder are not in it.
   * - clock: since the picture was taken in, by the clocks of server and viewer.
   * - playlist: behind the newest that the playlist tells of.
   */
  of: 'buffer' | 'clock' | 'playlist';
}

/** What a player tells. It tells nothing after it was stopped. */
export interface Listener {
  /** Bytes of media have come. */
  bytes(count: number): void;
  /** What the player found in the media: codec strings. */
  codecs(list: string[]): void;
  /** It is over: nothing more will come from this player. */
  fail(why: Failure): void;
}

export interface Job {
  video: HTMLVideoElement;
  /** Where the media are. */
  url: string;
  /** Where fetch can ask why they are refused. */
  why: string;
  /** What the page hands on: "?token=x", or "". */
  query: string;
  /** The media type with its codecs, or ''. */
  type: string;
  /** Leave the sound out. */
  silent: boolean;
  listener: Listener;
}

export interface Player {
  /** What plays: the library's name, or the browser. */
  readonly name: string;
  latency(): Latency | undefined;
  /** To the newest: after a pause. */
  catchUp(): void;
  /** Lets go of the connection and of the element. May be called at any time, and again. */
  stop(): void;
}

export type Start = (job: Job) => Player;

/** Empties the element; what it had still to tell is dropped. */
export function empty(video: HTMLVideoElement): void {
  video.removeAttribute('src');
  video.srcObject = null;
  video.load();
}

/** Calls back when what has come has been shown, or after some seconds. */
export function afterRest(video: HTMLVideoElement, then: () => void): void {
  const until = performance.now() + 4000;
  const look = (): void => {
    const { buffered, currentTime } = video;
    const rest = buffered.length > 0 ? buffered.end(buffered.length - 1) - currentTime : 0;
    if (video.ended || video.paused || rest < 0.15 || performance.now() > until) then();
    else setTimeout(look, 100);
  };
  look();
}

/** Lets act run once, however often it is called. */
export function once(act: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    act();
  };
}
