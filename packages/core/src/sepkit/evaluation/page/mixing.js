// Which files make up what is heard: a source (mixture, reference, a method), some stems, and the kind of null.

const NULLS = [
  ["plain", "off", "what was separated"],
  ["error", "reference − this", "what a stem has wrong: silent where it is perfect"],
  ["residual", "mixture − stems", "what all stems of this source together leave out of the mixture, or add to it"],
];

class Mix {
  constructor(track) {
    this.track = track;
    this.group = 0; // the stem that is shown
    this.solo = new Set([0]);
    this.muted = new Set();
    this.null = "plain";
    this.source = 0;
    this.before = 0; // the source that was heard before
    const first = track.sources.findIndex((source, index) => source.kind === "method" && this.has(index));
    this.choose(Math.max(0, first));
    this.before = Math.max(0, track.sources.findIndex(source => source.kind === "reference"));
  }

  /** Whether this source can be heard in the stem that is shown. */
  has(source) {
    const one = this.track.sources[source];
    return one.kind === "mixture" ? one.clip !== null : this.track.groups[this.group]?.clips[source] !== undefined;
  }

  choose(source) {
    if (source === this.source || !this.has(source)) return;
    this.before = this.source;
    this.source = source;
  }

  show(group) {
    this.group = group;
    this.solo = new Set([group]);
    this.muted.delete(group);
    if (!this.has(this.source)) {
      const other = this.track.sources.findIndex((source, index) => source.kind === "reference" && this.has(index));
      this.source = Math.max(0, other);
    }
  }

  /** The stems that sound: the soloed ones, or else those that make up the mixture; without the muted. */
  get heard() {
    const { groups, sources } = this.track, source = sources[this.source];
    const every = groups.map((_, index) => index);
    const whole = source.parts.length ? source.parts : this.reference?.parts.length ? this.reference.parts : every;
    return (this.solo.size ? [...this.solo] : whole).filter(group => !this.muted.has(group));
  }

  get reference() {
    return this.track.sources.find(source => source.kind === "reference");
  }

  /** File -> gain. */
  gains() {
    const { groups, sources, files } = this.track, gains = new Map(), source = sources[this.source];
    const truth = sources.findIndex(other => other.kind === "reference");
    const add = (clip, gain) => {
      if (clip === undefined || clip === null) return;
      gains.set(files[clip], (gains.get(files[clip]) ?? 0) + gain);
    };
    const mixture = sources[source.mixture]?.clip;
    if (this.null === "residual") {
      const own = source.kind === "mixture" ? truth : this.source;
      if (sources[own]?.parts.length) {
        add(mixture, 1);
        for (const group of sources[own].parts) add(groups[group].clips[own], -1);
      }
    } else if (source.kind === "mixture") {
      add(source.clip, 1);
      if (this.null === "error") for (const group of this.heard) add(groups[group].clips[truth], -1);
    } else {
      for (const group of this.heard) {
        const { [truth]: reference, [this.source]: own } = groups[group].clips;
        if (this.null === "plain") add(own, 1);
        else if (reference !== undefined && own !== undefined) add(reference, 1), add(own, -1);
      }
    }
    return gains;
  }

  /** What is heard, in words. */
  get words() {
    const { groups, sources } = this.track, source = sources[this.source];
    const stems = this.heard.map(group => groups[group].stem).join(" + ") || "no stem";
    if (this.null === "residual") {
      const own = source.kind === "mixture" ? this.reference : source;
      if (!own?.parts.length) return `nothing: the stems of ${own?.name ?? source.name} do not make up a mixture`;
      return `mixture − all stems of ${own.name}`;
    }
    if (source.kind === "mixture") return this.null === "plain" ? source.name : `${source.name} − true ${stems}`;
    return this.null === "plain" ? `${stems}: ${source.name}` : `${stems}: reference − ${source.name}`;
  }
}
