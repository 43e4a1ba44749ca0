// Counts what is shown and what comes.

/** Seconds over which a rate is taken: what comes in segments needs longer. */
const window = { stream: 4, segments: 15 };

interface Sample {
  at: number;
  bytes: number;
  frames: number;
}

export interface Rates {
  /** Bits a second that came; undefined where the browser does not tell. */
  bitrate: number | undefined;
  /** Pictures a second that were decoded. */
  fps: number | undefined;
  dropped: number | undefined;
  frames: number | undefined;
}

export class Meter {
  private samples: Sample[] = [];

  constructor(private readonly video: HTMLVideoElement) {}

  /** To be called about once a second. */
  take(bytes: number, segments: boolean): Rates {
    const quality = this.video.getVideoPlaybackQuality?.();
    const now: Sample = { at: performance.now() / 1000, bytes, frames: quality?.totalVideoFrames ?? 0 };
    const before = this.samples.at(-1);
    if (before && now.frames < before.frames) this.samples = []; // another player has begun
    this.samples.push(now);
    const since = now.at - (segments ? window.segments : window.stream);
    while (this.samples.length > 2 && (this.samples[1]?.at ?? 0) < since) this.samples.shift();
    const first = this.samples[0] ?? now;
    const seconds = now.at - first.at;
    const rate = (count: number): number | undefined => (seconds > 0.5 ? count / seconds : undefined);
    const bits = rate((now.bytes - first.bytes) * 8);
    return {
      bitrate: bytes > 0 ? bits : undefined,
      fps: quality ? rate(now.frames - first.frames) : undefined,
      dropped: quality?.droppedVideoFrames,
      frames: quality?.totalVideoFrames,
    };
  }

  /** What was counted before does not count any more. */
  forget(): void {
    this.samples = [];
  }
}
