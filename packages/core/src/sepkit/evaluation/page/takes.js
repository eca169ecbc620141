// The page of one piece of music as stems, generated or separated: all stems at once, each to see, to hear alone and to leave out.

class TakePage {
  constructor(track, box) {
    this.track = track;
    this.box = box;
    this.solo = new Set();
    this.muted = new Set();
    this.player = new Player(track, () => this.refresh());
    this.transport = new Transport(this.player, track);
    this.status = make("p", { class: "status", role: "status" });
    this.times = make("div", { class: "times" });
    this.pictures = [];
    this.rows = track.rows.map((row, index) => this.row(row, index));
    box.replaceChildren(...this.parts());
    this.resized = new ResizeObserver(() => this.drawTimes());
    this.resized.observe(this.times);
    this.actions = {
      " ": () => this.transport.toggle(), p: () => this.transport.toggle(),
      l: () => this.player.loop(!this.player.looping), "[": () => this.transport.mark(0), "]": () => this.transport.mark(1),
      home: () => this.seek(0),
      arrowleft: event => this.seek(this.player.position() - (event.shiftKey ? 0.1 : 1)),
      arrowright: event => this.seek(this.player.position() + (event.shiftKey ? 0.1 : 1)),
    };
    this.changed();
    this.follow();
  }

  parts() {
    const { track } = this;
    return [
      report.single ? null : make("nav", { class: "tracks", "aria-label": "tracks" }, make("a", { href: "#overview" }, "← overview")),
      make("h2", {}, track.name),
      make("p", { class: "facts" }, ...track.facts.map(fact => make("span", {}, fact))),
      track.notes.length ? make("ul", { class: "notes" }, ...track.notes.map(note => make("li", {}, note))) : null,
      ...(track.audible ? [this.transport.element, this.status] : []),
      make("div", { class: "sources" }, ...this.rows.flatMap(({ element, map }) => map ? [element, map] : [element]), this.scale()),
    ].filter(part => part !== null);
  }

  row(row, index) {
    const { track } = this, label = `${row.name}${row.given && !row.whole ? " (given)" : ""}`;
    const head = make("div", { class: "source" }, make("span", { class: "name" }, row.name),
      make("span", { class: "quiet" }, row.role));
    const toggles = {};
    for (const [name, letter, set] of track.audible ? [["solo", "S", this.solo], ["mute", "M", this.muted]] : []) {
      if (row.whole && name === "mute") continue; // it sounds only alone
      toggles[name] = button({ "aria-pressed": "false", title: name, "aria-label": `${name} ${row.name}`, class: name }, letter,
        () => { if (!set.delete(index)) set.add(index); this.changed(); });
      head.append(make("span", { class: "stem" }, toggles[name]));
    }
    const names = { seek: time => this.seek(time), mark: (from, to, done) => this.markLoop(from, to, done) };
    const picture = track.picture ? spectrogram(track, row.clip, label, names) : make("p", { class: "quiet" }, "no sound was kept");
    if (picture.box) this.pictures.push(picture);
    return { toggles, element: make("div", { class: "row" }, head, picture.box ?? picture), map: this.map(row, names) };
  }

  /** How far the draws of a random method lie apart, where it drew several. */
  map(row, names) {
    if (row.map === undefined || row.map === null) return null;
    const picture = pictureOf(this.track, row.map, `spread of the draws of ${row.name}`, names);
    this.pictures.push(picture);
    return make("div", { class: "row map" }, make("p", { class: "quiet" }, "where its draws differ: their spread"), picture.box);
  }

  /** The axis below the spectrograms, and what their colours mean. */
  scale() {
    if (!this.track.picture) return make("p");
    return make("div", { class: "row axis" },
      make("div", { class: "colours" }, `−${this.track.picture.rangeDb} dB `, make("i", {}), this.track.rows.some(row => row.whole) ? " loudest of the mixture" : " loudest of all stems"), this.times);
  }

  drawTimes() {
    const { start, length } = this.track;
    if (!this.track.picture) return;
    this.times.replaceChildren(...timeLabels(start, start + length, this.times.clientWidth || 900).map(([time, text]) =>
      make("span", { style: `left:${100 * (time - start) / length}%` }, text)));
  }

  /** The rows that sound: the soloed ones, or all that are parts of a whole; without the muted. */
  get heard() {
    const every = this.track.rows.map((_, index) => index).filter(index => !this.track.rows[index].whole);
    return (this.solo.size ? [...this.solo].sort() : every).filter(index => !this.muted.has(index));
  }

  gains() {
    const { rows, files } = this.track, gains = new Map();
    for (const index of this.heard) {
      const file = files[rows[index].clip]; // equal stems share a file
      gains.set(file, (gains.get(file) ?? 0) + 1);
    }
    return gains;
  }

  changed() {
    if (this.track.audible) this.player.hear(this.gains());
    this.refresh();
  }

  seek(time) {
    this.player.seek(time);
  }

  markLoop(from, to, done) {
    if (to - from < 0.05) return;
    if (done) this.player.loop(true, [from, to]), this.player.seek(from);
    else for (const { band } of this.pictures) place(band, from, to, this.track.length);
  }

  refresh() {
    const { track, player } = this;
    if (!this.rows) return;
    this.rows.forEach(({ element, toggles }, index) => {
      element.classList.toggle("heard", track.audible && this.heard.includes(index));
      toggles.solo?.setAttribute("aria-pressed", String(this.solo.has(index)));
      toggles.mute?.setAttribute("aria-pressed", String(this.muted.has(index)));
    });
    const missing = track.audible && [...this.gains().keys()].some(file => !player.ready.has(file));
    this.status.textContent = player.failed ?? `Hearing ${this.words}${missing ? " (decoding …)" : ""}`;
    for (const { band } of this.pictures) {
      if (player.region) place(band, ...player.region, track.length); else band.hidden = true;
    }
    this.transport.refresh();
    this.moved();
  }

  get words() {
    return this.heard.map(index => this.track.rows[index].name).join(" + ") || "nothing";
  }

  moved() {
    const left = `${100 * this.player.position() / this.track.length}%`;
    for (const { head } of this.pictures) head.style.left = left;
    this.transport.moved();
  }

  follow() {
    if (this.player.playing) {
      this.player.tick();
      this.moved();
    }
    this.following = requestAnimationFrame(() => this.follow());
  }

  state() {
    const { track, player } = this;
    return { view: "take", track: track.key, words: this.words, playing: player.playing, position: player.position(),
      length: track.length, level: player.level(), gains: Object.fromEntries(this.gains()), decoded: [...player.ready.keys()],
      failed: player.failed, loop: player.run?.loop ?? null };
  }

  close() {
    cancelAnimationFrame(this.following);
    this.resized.disconnect();
    this.player.close();
    this.box.replaceChildren();
  }
}
