// Plays any weighted sum of a track's files. All of them run all the time, started on the same sample; switching only
// moves gains, so it can lose neither the position nor a sample, and a difference of equal files is exactly silent.

const FADE_SECONDS = 0.012; // of a switch: short enough to compare, long enough not to click
const LEAD_SECONDS = 0.04; // between asking for a start and the start, so that no voice comes late

class Player {
  constructor(track, changed) {
    this.rate = track.sampleRate;
    this.length = track.length;
    this.changed = changed; // called when something that is shown has changed
    this.buffers = new Map(); // file -> promise of its samples
    this.ready = new Map(); // file -> its samples
    this.wanted = new Map(); // file -> gain
    this.voices = new Map(); // file -> what plays it now
    this.offset = 0; // where playing goes on, in seconds of the excerpt
    this.run = null; // since when and from where it is playing
    this.looping = false;
    this.region = null; // [start, end] of the loop; the whole excerpt when null
    this.volumeDb = 0;
    this.failed = null;
  }

  get playing() {
    return this.run !== null;
  }

  /** Decode these files now; settles when all are there. The first error is kept and shown. */
  async load(files) {
    await wholePage;
    await Promise.all([...files].map(file => {
      if (!this.buffers.has(file)) this.buffers.set(file, this.decode(file));
      return this.buffers.get(file);
    }));
  }

  async decode(file) {
    try {
      const bytes = bytesOf(document.getElementById(`clip-${file}`).textContent);
      // a context of the track's own rate: decoding to another one would resample, and nulls would no longer be exact
      const buffer = await new OfflineAudioContext(1, 1, this.rate).decodeAudioData(bytes.buffer);
      if (this.closed) return;
      this.ready.set(file, buffer);
      if (this.playing && this.wanted.has(file)) this.restart(this.positionAt);
    } catch (error) {
      this.failed = `this browser cannot decode the sound (${error.message || error.name})`;
    }
    this.changed();
  }

  /** What to hear: file -> gain; files that are not decoded yet join in when they are. */
  hear(wanted) {
    this.wanted = wanted;
    for (const [file, voice] of this.voices) this.fade(voice.gain.gain, wanted.get(file) ?? 0);
    if (this.playing && [...wanted.keys()].some(file => this.ready.has(file) && !this.voices.has(file))) {
      this.restart(this.positionAt);
    }
    this.load(wanted.keys());
  }

  async play() {
    if (this.playing || this.closed) return;
    if (!this.context) {
      this.context = new AudioContext({ sampleRate: this.rate, latencyHint: "interactive" });
      this.master = this.context.createGain();
      this.analyser = this.context.createAnalyser();
      this.master.connect(this.analyser).connect(this.context.destination);
      this.volume(this.volumeDb);
    }
    await Promise.all([this.context.resume(), this.load(this.wanted.keys())]);
    if (this.playing || this.closed) return;
    if (this.offset >= this.length - 0.01) this.offset = 0;
    this.restart(() => this.offset);
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.position();
    this.silence(this.context.currentTime + FADE_SECONDS, true);
    this.run = null;
    this.changed();
  }

  seek(seconds) {
    this.offset = clamp(seconds, 0, this.length);
    if (this.playing) this.restart(() => this.offset);
    this.changed();
  }

  /** Loop between two times of the excerpt, or over all of it when `region` is null. */
  loop(looping, region = this.region) {
    this.looping = looping;
    this.region = region;
    if (this.playing) this.restart(this.positionAt);
    this.changed();
  }

  volume(decibels) {
    this.volumeDb = decibels;
    if (this.master) this.fade(this.master.gain, decibels <= -40 ? 0 : 10 ** (decibels / 20));
  }

  /** Seconds into the excerpt, now. */
  position() {
    return this.playing ? this.positionAt(this.context.currentTime) : this.offset;
  }

  positionAt = time => {
    const { since, offset, loop } = this.run;
    const position = offset + Math.max(0, time - since);
    if (!loop || position < loop[1]) return Math.min(position, this.length);
    return loop[0] + (position - loop[0]) % (loop[1] - loop[0]);
  };

  /** End every voice and begin all anew on one sample, at the position that `where` gives for that moment. */
  restart(where) {
    const now = this.context.currentTime;
    const begin = Math.ceil((now + LEAD_SECONDS) * this.rate) / this.rate;
    const offset = Math.round(where(begin) * this.rate) / this.rate;
    const [start, end] = this.region ?? [0, this.length];
    const loop = this.looping && offset < end ? [start, end] : null;
    this.silence(begin, false);
    for (const [file, buffer] of this.ready) {
      const source = this.context.createBufferSource(), gain = this.context.createGain();
      source.buffer = buffer;
      if (loop) Object.assign(source, { loop: true, loopStart: loop[0], loopEnd: Math.min(loop[1], buffer.duration) });
      gain.gain.value = this.wanted.get(file) ?? 0;
      source.connect(gain).connect(this.master);
      source.start(begin, offset);
      this.voices.set(file, { source, gain });
    }
    this.run = { since: begin, offset, loop };
  }

  silence(end, faded) {
    for (const { source, gain } of this.voices.values()) {
      if (faded) this.fade(gain.gain, 0);
      source.stop(end);
    }
    this.voices.clear();
  }

  fade(parameter, value) {
    const now = this.context.currentTime;
    parameter.cancelScheduledValues(now);
    parameter.setValueAtTime(parameter.value, now);
    parameter.linearRampToValueAtTime(value, now + FADE_SECONDS);
  }

  /** To be called now and then: stops at the end of the excerpt. */
  tick() {
    if (!this.playing || this.run.loop || this.position() < this.length) return;
    this.silence(0, false);
    this.run = null;
    this.offset = 0;
    this.changed();
  }

  /** The loudest sample of what is sounding now, 0 to 1. */
  level() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  }

  close() {
    this.closed = true;
    if (this.playing) this.silence(0, false);
    this.run = null;
    this.ready.clear();
    this.buffers.clear();
    this.context?.close();
  }
}
