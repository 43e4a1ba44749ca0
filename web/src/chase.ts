// Keeps what has come and has not been shown small.

/** Seconds. */
const most = 1.5; // beyond it, jump
const high = 0.9; // beyond it, play faster
const least = 0.3; // what is left by a jump
const patienceMax = 1.2; // how much more is allowed where the network stutters
const faster = 1.07; // hardly heard

export class Chase {
  private readonly timer: ReturnType<typeof setInterval>;
  private patience = 0;
  private calmSince = performance.now();

  constructor(private readonly video: HTMLVideoElement) {
    this.timer = setInterval(() => this.look(), 250);
    video.addEventListener('waiting', this.starved);
  }

  /** Seconds that have come and have not been shown. */
  ahead(): number | undefined {
    const { buffered, currentTime } = this.video;
    if (buffered.length === 0) return undefined;
    return Math.max(0, buffered.end(buffered.length - 1) - currentTime);
  }

  jump(): void {
    const { buffered } = this.video;
    const last = buffered.length - 1;
    if (last < 0) return;
    this.video.currentTime = Math.max(buffered.start(last), buffered.end(last) - least - this.patience);
  }

  stop(): void {
    clearInterval(this.timer);
    this.video.removeEventListener('waiting', this.starved);
    this.video.playbackRate = 1;
  }

  /** The element has run dry: from now on keep a little more. */
  private readonly starved = (): void => {
    if (this.video.readyState < 1 || this.video.currentTime === 0) return;
    this.calmSince = performance.now();
    this.patience = Math.min(patienceMax, this.patience + 0.2);
  };

  private look(): void {
    const { video } = this;
    const { buffered, currentTime } = video;
    if (buffered.length === 0 || video.seeking || video.readyState < 1) return;
    const last = buffered.length - 1;
    const ahead = buffered.end(last) - currentTime;
    // Before the first range (a stream does not begin at 0), or in a hole.
    const outside = !within(buffered, currentTime);
    if (outside && currentTime < buffered.start(last)) {
      video.currentTime = Math.max(buffered.start(last), buffered.end(last) - least - this.patience);
      return;
    }
    if (video.paused) return;
    if (performance.now() - this.calmSince > 30_000 && this.patience > 0) {
      this.patience = Math.max(0, this.patience - 0.1);
      this.calmSince = performance.now();
    }
    if (ahead > most + this.patience) {
      this.jump();
    } else if (ahead > high + this.patience) {
      video.playbackRate = faster;
    } else if (ahead < (high + least) / 2 + this.patience) {
      video.playbackRate = 1;
    }
  }
}

function within(ranges: TimeRanges, time: number): boolean {
  for (let i = 0; i < ranges.length; i++) {
    if (time >= ranges.start(i) - 0.05 && time <= ranges.end(i) + 0.05) return true;
  }
  return false;
}
