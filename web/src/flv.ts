// FLV over WebSocket or HTTP, by mpegts.js. The bytes are fetched here, so that a refusal is heard in the server's own words.

import mpegts from 'mpegts.js';
import { Chase } from './chase';
import { closed, explain, failure, refusal } from './failure';
import type { Failure } from './failure';
import { afterRest, once } from './player';
import type { Job, Player } from './player';

mpegts.LoggingControl.applyConfig({ enableAll: false });

export function start(job: Job): Player {
  const { video, listener } = job;
  let over = false;
  const fail = (why: Failure): void => {
    if (over) return;
    over = true;
    if (why.kind === 'ended') afterRest(video, () => listener.fail(why));
    else listener.fail(why);
  };
  const source: mpegts.MediaDataSource = { type: 'flv', isLive: true, url: job.url, cors: true };
  if (job.silent) source.hasAudio = false;
  const player = mpegts.createPlayer(source, {
    customLoader: /^ws/.test(job.url) ? socketLoader(job, fail) : bodyLoader(job, fail),
    enableStashBuffer: false,
    lazyLoad: false,
    deferLoadAfterSourceOpen: false,
    autoCleanupSourceBuffer: true,
    autoCleanupMaxBackwardDuration: 20,
    autoCleanupMinBackwardDuration: 10,
  });
  player.on(mpegts.Events.ERROR, (kind: string, detail: string, info: { msg?: string } | undefined) => {
    fail(troubleOf(kind, detail, info?.msg ?? ''));
  });
  player.on(mpegts.Events.MEDIA_INFO, (info: mpegts.MSEPlayerMediaInfo) => {
    const found = [info.videoCodec, info.audioCodec].filter((codec) => typeof codec === 'string');
    if (found.length > 0) listener.codecs(found);
  });
  player.attachMediaElement(video);
  player.load();
  const chase = new Chase(video);
  return {
    name: `mpegts.js ${mpegts.version}`,
    latency: () => {
      const seconds = chase.ahead();
      return seconds === undefined ? undefined : { seconds, of: 'buffer' };
    },
    catchUp: () => chase.jump(),
    stop: once(() => {
      over = true;
      chase.stop();
      player.destroy();
    }),
  };
}

/** What an error of mpegts.js means for the next step. */
function troubleOf(kind: string, detail: string, message: string): Failure {
  if (detail === mpegts.ErrorDetails.MEDIA_CODEC_UNSUPPORTED) {
    return failure('way', /audio/i.test(message) ? 'audio-codec' : 'codec', message);
  }
  if (detail === mpegts.ErrorDetails.MEDIA_MSE_ERROR && /addSourceBuffer/.test(message)) return failure('way', 'codec', message);
  if (kind === mpegts.ErrorTypes.NETWORK_ERROR) return failure('network', 'loader', message || detail);
  return failure('media', detail, message || detail);
}

type Tell = (why: Failure) => void;

/** Reads the messages of a WebSocket. */
function socketLoader(job: Job, tell: Tell): mpegts.CustomLoaderConstructor {
  return class extends mpegts.BaseLoader {
    private socket: WebSocket | undefined;
    private received = 0;

    constructor() {
      super('vigil-websocket');
      this._needStash = false;
    }

    override open(): void {
      const socket = new WebSocket(job.url);
      socket.binaryType = 'arraybuffer';
      socket.onmessage = (event: MessageEvent<unknown>) => {
        if (this.socket !== socket || !(event.data instanceof ArrayBuffer)) return;
        this._status = mpegts.LoaderStatus.kBuffering;
        const at = this.received;
        this.received += event.data.byteLength;
        job.listener.bytes(event.data.byteLength);
        this.onDataArrival(event.data, at, this.received);
      };
      socket.onclose = (event) => {
        if (this.socket !== socket) return;
        this._status = mpegts.LoaderStatus.kComplete;
        void closed(event, job.why, this.received > 0).then((why) => {
          if (this.socket !== socket) return;
          tell(why);
          if (why.kind === 'ended') this.onComplete(0, this.received - 1);
        });
      };
      this.socket = socket;
      this._status = mpegts.LoaderStatus.kConnecting;
    }

    override abort(): void {
      const socket = this.socket;
      this.socket = undefined;
      socket?.close(1000);
      this._status = mpegts.LoaderStatus.kComplete;
    }

    override destroy(): void {
      this.abort();
      super.destroy();
    }
  };
}

/** Reads an endless body. */
function bodyLoader(job: Job, tell: Tell): mpegts.CustomLoaderConstructor {
  return class extends mpegts.BaseLoader {
    private stopping: AbortController | undefined;
    private received = 0;

    constructor() {
      super('vigil-body');
      this._needStash = false;
    }

    override open(): void {
      const stopping = new AbortController();
      this.stopping = stopping;
      this._status = mpegts.LoaderStatus.kConnecting;
      void this.read(stopping).then((why) => {
        if (this.stopping !== stopping) return;
        this._status = mpegts.LoaderStatus.kComplete;
        tell(why);
        if (why.kind === 'ended') this.onComplete(0, this.received - 1);
      });
    }

    private async read(stopping: AbortController): Promise<Failure> {
      try {
        const answer = await fetch(job.url, { signal: stopping.signal, cache: 'no-store' });
        if (!answer.ok || !answer.body) return refusal(answer.status, await answer.text());
        this._status = mpegts.LoaderStatus.kBuffering;
        const body = answer.body.getReader();
        for (;;) {
          const { done, value } = await body.read();
          if (done) return failure('ended', 'done', 'the stream has ended');
          if (this.stopping !== stopping) break;
          const at = this.received;
          this.received += value.byteLength;
          job.listener.bytes(value.byteLength);
          this.onDataArrival(value.buffer.slice(value.byteOffset, value.byteOffset + value.byteLength), at, this.received);
        }
      } catch (err) {
        if (this.received > 0 || this.stopping !== stopping) return failure('network', 'broken', String(err));
        return (await explain(job.why)) ?? failure('network', 'broken', String(err));
      }
      return failure('network', 'stopped', 'stopped');
    }

    override abort(): void {
      const stopping = this.stopping;
      this.stopping = undefined;
      stopping?.abort();
      this._status = mpegts.LoaderStatus.kComplete;
    }

    override destroy(): void {
      this.abort();
      super.destroy();
    }
  };
}
