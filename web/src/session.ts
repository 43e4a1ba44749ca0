// Plays one stream in one element for as long as the page is open: chooses the way, goes to the next when one fails, and comes back.

import type { Address } from './address';
import { explain, failure } from './failure';
import type { Failure, Kind } from './failure';
import type { Latency, Player, Start } from './player';
import { probe } from './probe';
import { Progress } from './progress';
import { choose, codecsOf, isVideo, urlOf, wayOf } from './ways';
import type { Via, Way } from './ways';

/**
 * - idle: nothing was begun: it waits for a press of a button.
 * - probing: the server is asked what the stream is.
 * - connecting: a way was chosen, and no picture or sound has come yet.
 * - playing, buffering: it plays; or did, and has nothing left to show.
 * - paused: by the viewer. After a while the connection is given up.
 * - waiting: nothing to play now; it is tried again at retryAt.
 * - failed: it is not tried again by itself.
 */
export type State = 'idle' | 'probing' | 'connecting' | 'playing' | 'buffering' | 'paused' | 'waiting' | 'failed';

/** Milliseconds. */
const pauseMax = 10_000; // then the connection is given up
const settled = 10_000; // who has played so long begins anew with the patience
const backOff = [1_000, 2_000, 4_000, 8_000, 15_000] as const;

/** What is tried again by itself. */
const passing: ReadonlySet<Kind> = new Set<Kind>(['absent', 'ended', 'busy', 'network', 'media']);
/** What another way would not change. */
const ofStream: ReadonlySet<Kind> = new Set<Kind>(['absent', 'ended', 'busy', 'denied', 'name', 'kicked']);

/** A player's code is fetched when it is needed. */
const players: Record<Via, () => Promise<{ start: Start }>> = {
  'ws-flv': () => import('./flv'),
  flv: () => import('./flv'),
  mse: () => import('./mse'),
  'll-hls': () => import('./hls'),
  hls: () => import('./hls'),
};

export class Session {
  state: State = 'idle';
  via: Via | undefined;
  /** Why it does not play; or why it did not, while it is tried again. */
  error: Failure | undefined;
  /** The ways that failed since it last played. */
  tried: { via: Via; why: Failure }[] = [];
  codecs: string[] = [];
  /** The sound is left out, since this browser cannot play it. */
  silent = false;
  muted = false;
  /** The browser wanted it silent; or refused to begin at all. */
  autoplay: 'allowed' | 'muted' | 'blocked' = 'allowed';
  bytes = 0;
  reconnects = 0;
  /** performance.now() of the next try, in state waiting. */
  retryAt = 0;

  private run = 0; // which try this is: what belongs to an older one is void
  private stopping: AbortController | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private list: Way[] = []; // the way that is gone, and those that are left
  private type = '';
  private unplayable: string[] = [];
  private player: Player | undefined;
  private progress: Progress | undefined;
  private failures = 0;
  private demoted = new Set<Via>();
  private pausedSince = 0;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly address: Address,
    private forced: Via | undefined,
    private readonly changed: () => void,
  ) {
    video.addEventListener('canplay', () => void this.play());
    video.addEventListener('pause', () => this.onPause());
    video.addEventListener('play', () => this.onPlay());
    video.addEventListener('volumechange', () => {
      if (video.muted || (!this.muted && this.autoplay !== 'muted')) return;
      this.muted = false; // the viewer wants to hear it, and also after a reconnection
      if (this.autoplay === 'muted') this.autoplay = 'allowed';
      this.changed();
    });
    window.addEventListener('online', () => {
      if (this.state === 'waiting') this.start();
    });
    setInterval(() => this.watch(), 500);
  }

  get playerName(): string {
    return this.player?.name ?? '';
  }

  get chosen(): Via | undefined {
    return this.forced;
  }

  latency(): Latency | undefined {
    return this.player?.latency();
  }

  /** Begins, or begins again, now. */
  start(): void {
    this.leave();
    this.pausedSince = 0;
    void this.search(this.run);
  }

  /** Goes this way only; undefined: whichever is best. */
  choose(via: Via | undefined): void {
    this.forced = via;
    this.failures = 0;
    this.demoted.clear();
    this.error = undefined;
    this.start();
  }

  /** Lets go of everything. */
  leave(): void {
    this.run++;
    clearTimeout(this.timer);
    this.stopping?.abort();
    this.drop();
    this.tried = [];
  }

  private drop(): void {
    const player = this.player;
    this.player = this.progress = undefined;
    player?.stop();
  }

  private set(state: State): void {
    this.state = state;
    this.changed();
  }

  /** Asks what the stream is, and goes the best way. */
  private async search(run: number): Promise<void> {
    this.stopping = new AbortController();
    this.silent = false;
    this.set('probing');
    const url = urlOf(this.address, '.live.mp4');
    const found = await probe(url, this.stopping.signal);
    if (run !== this.run) return;
    if ([400, 401, 403].includes(found.status)) {
      const why = (await explain(url)) ?? failure('busy', 'changed', 'the server has changed its mind');
      if (run === this.run) this.give(why);
      return;
    }
    this.type = found.type;
    this.codecs = codecsOf(found.type);
    const choice = choose(found.type);
    this.silent = choice.silent;
    this.unplayable = choice.unplayable;
    this.list = this.order(choice.ways);
    if (this.list.length === 0) this.give(cannot(choice.unplayable));
    else await this.go(run);
  }

  private order(list: Way[]): Way[] {
    const forced = this.forced && wayOf(this.forced);
    if (forced) return [forced];
    return [...list.filter((way) => !this.demoted.has(way.via)), ...list.filter((way) => this.demoted.has(way.via))];
  }

  /** Goes the first way of the list. */
  private async go(run: number): Promise<void> {
    const way = this.list[0];
    if (!way) return;
    this.via = way.via;
    this.set('connecting');
    const fail = (why: Failure): void => {
      if (run === this.run) this.failed(way, why);
    };
    const why = urlOf(this.address, way.suffix);
    if (way.via === 'mse' && this.type === '') {
      fail((await explain(why)) ?? failure('way', 'unknown-codecs', 'the server does not tell the codecs, which this way needs'));
      return;
    }
    try {
      const { start } = await players[way.via]();
      if (run !== this.run) return;
      const progress = (this.progress = new Progress(this.video, !way.suffix.startsWith('.live')));
      const mine = (): boolean => run === this.run && progress === this.progress;
      const player = start({
        video: this.video,
        url: urlOf(this.address, way.suffix, way.socket),
        why,
        query: this.address.query,
        type: this.type,
        silent: this.silent,
        listener: {
          bytes: (count) => {
            if (!mine()) return;
            progress.heard();
            this.bytes += count;
          },
          codecs: (found) => {
            if (mine()) this.codecs = found;
          },
          fail: (cause) => {
            if (mine()) fail(cause);
          },
        },
      });
      if (mine()) this.player = player;
      else player.stop(); // it failed at once
    } catch (err) {
      fail(failure('way', 'player', String(err)));
    }
  }

  private failed(way: Way, why: Failure): void {
    const played = this.progress?.played ?? false;
    const settledDown = played && performance.now() - (this.progress?.since ?? 0) > settled;
    if (settledDown) this.failures = 0;
    this.drop();
    if (why.word === 'audio-codec' && !this.silent) {
      this.silent = true;
      void this.go(this.run);
      return;
    }
    this.tried.push({ via: way.via, why });
    if (ofStream.has(why.kind) || (played && why.kind === 'network')) {
      this.give(why);
    } else if (played) {
      if (!settledDown) this.demoted.add(way.via); // it breaks at once: from now on it is the last that is tried
      this.give({ ...why, kind: 'media' });
    } else if (this.list.length > 1) {
      this.list = this.list.slice(1);
      void this.go(this.run);
    } else {
      this.give(this.summary(why));
    }
  }

  /** What all the failed ways mean together: what could pass is tried again. */
  private summary(last: Failure): Failure {
    const causes = this.tried.map((one) => one.why);
    if (causes.some((why) => why.word === 'codec' || why.word === 'audio-codec')) {
      const guess = this.codecs.some(isVideo) ? this.codecs.filter(isVideo) : this.codecs;
      return cannot(this.unplayable.length > 0 ? this.unplayable : guess);
    }
    return causes.find((why) => why.kind === 'network') ?? causes.find((why) => why.kind === 'media') ?? last;
  }

  /** Gives up: for a while, or for good. */
  private give(why: Failure): void {
    const { tried } = this;
    this.leave();
    this.tried = tried;
    this.error = why;
    if (!passing.has(why.kind)) {
      this.set('failed');
      return;
    }
    const pause = backOff[Math.min(this.failures, backOff.length - 1)] ?? 15_000;
    const wait = pause * (0.8 + 0.4 * Math.random()); // not all viewers at the same moment
    this.failures++;
    this.reconnects++;
    this.retryAt = performance.now() + wait;
    this.timer = setTimeout(() => this.start(), wait);
    this.set('waiting');
  }

  /** Plays; silently, if the browser lets no page begin with sound. */
  private async play(): Promise<void> {
    const { video, run } = this;
    if (!video.paused || this.pausedSince > 0 || this.autoplay === 'blocked') return;
    if (this.muted || this.autoplay === 'muted') video.muted = true;
    try {
      await video.play();
    } catch (err) {
      if (run !== this.run || !(err instanceof DOMException) || err.name !== 'NotAllowedError') return;
      this.autoplay = video.muted ? 'blocked' : 'muted';
      this.changed();
      if (this.autoplay === 'muted') await this.play();
    }
  }

  /** The viewer has pressed a button, which lets sound be heard. */
  unmute(): void {
    this.muted = false;
    this.autoplay = 'allowed';
    this.video.muted = false;
    this.resume();
  }

  /** The viewer wants to see it. */
  resume(): void {
    this.autoplay = this.autoplay === 'blocked' ? 'allowed' : this.autoplay;
    if (!this.player) {
      this.start();
      return;
    }
    if (!this.video.paused) return;
    if (this.state === 'paused') this.goOn();
    void this.play();
  }

  private onPause(): void {
    if (!this.progress?.played || this.video.ended || !this.video.paused) return;
    this.pausedSince = performance.now();
    this.set('paused');
  }

  private onPlay(): void {
    if (this.state !== 'paused') return;
    if (this.player) this.goOn();
    else this.start();
  }

  /** After a pause: with what is live now. */
  private goOn(): void {
    this.pausedSince = 0;
    this.progress?.excuse();
    this.player?.catchUp();
    this.set('buffering');
  }

  /** Looks whether it goes on. */
  private watch(): void {
    const { progress } = this;
    const way = this.list[0];
    if (!this.player || !progress || !way) return;
    if (this.state === 'paused') {
      if (performance.now() - this.pausedSince > pauseMax) this.letGo();
      return;
    }
    if (progress.moved() && this.state !== 'playing') {
      this.error = undefined;
      this.tried = [];
      this.set('playing');
    }
    if (this.autoplay === 'blocked' || document.hidden) {
      progress.excuse();
      return;
    }
    if (this.state === 'playing' && progress.dry()) this.set('buffering');
    const why = progress.trouble();
    if (why) this.failed(way, why);
  }

  /** A viewer who has paused takes nothing more. */
  private letGo(): void {
    this.leave();
    this.set('paused');
  }
}

/** The browser plays none of what there is. */
function cannot(codecs: string[]): Failure {
  return failure('codec', 'codec', `this browser does not play ${codecs.length > 0 ? codecs.join(', ') : 'live media'}`);
}
