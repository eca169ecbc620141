// The page of one track: stems to choose, everybody's version of them to hear and see, and the views' addresses.

class TrackPage {
  constructor(track, box, group) {
    this.track = track;
    this.box = box;
    this.player = new Player(track, () => this.refresh());
    this.mix = new Mix(track);
    this.transport = new Transport(this.player, track);
    this.status = make("p", { class: "status", role: "status" });
    this.truth = make("p", { class: "quiet truth" });
    this.stems = make("div", { class: "stems", role: "group", "aria-label": "stems" });
    this.nulls = make("div", { class: "nulls", role: "radiogroup", "aria-label": "null" });
    this.rows = make("div", { class: "sources", role: "radiogroup", "aria-label": "what to hear" });
    this.metric = make("select", { onchange: () => this.refresh() }, ...track.scores.map((table, index) =>
      make("option", { value: index }, table.recipe === table.metric ? table.metric : `${table.metric} (${table.recipe})`)));
    this.curves = new Curves(track, time => this.seek(time - track.start), text => this.say(text));
    box.replaceChildren(...this.parts());
    this.show(group);
    this.resized = new ResizeObserver(() => { this.curves.draw(); this.drawTimes(); });
    this.resized.observe(this.curves.plot);
    this.follow();
  }

  parts() {
    const { track } = this, index = report.tracks.indexOf(track);
    const link = (other, text) => other ? make("a", { href: addressOf(other) }, text) : make("span", { class: "quiet" }, text);
    const facts = !track.audible || track.length >= track.seconds ? clock(track.seconds)
      : `excerpt of ${track.length.toFixed(1)} s from ${clock(track.start)} on, of ${clock(track.seconds)}`;
    const gain = track.gainDb ? ` · all files turned down by ${-track.gainDb} dB, which keeps the loudest below full scale` : "";
    return [
      make("nav", { class: "tracks", "aria-label": "tracks" }, make("a", { href: "#overview" }, "← overview"),
        link(report.tracks[index - 1], "‹ previous"), link(report.tracks[index + 1], "next ›")),
      make("h2", {}, track.name),
      make("p", { class: "facts" }, `${track.dataset} · ${facts}${gain}`),
      track.notes.length ? make("ul", { class: "notes" }, ...track.notes.map(note => make("li", {}, note))) : null,
      ...(track.audible ? [this.transport.element] : []),
      ...(track.groups.length ? [
        make("div", { class: "choices" }, this.stems, ...(track.audible ? [this.nulls] : [])),
        this.status, this.truth,
        track.scores.length ? make("p", { class: "chooser" }, make("label", {}, "Scores by ", this.metric)) : null,
        this.rows, this.curves.element] : []),
      ...(track.audible ? [keysHelp()] : []),
    ].filter(part => part !== null);
  }

  /** Show a stem, and hear only that one. */
  show(group) {
    if (!this.track.groups[group]) return;
    this.mix.show(group);
    this.drawRows();
    this.curves.show(group);
    if (this.track.audible) {
      const { groups, sources, files } = this.track;
      const clips = [...Object.values(groups[group].clips), ...sources.map(source => source.clip)];
      this.player.load(new Set(clips.filter(clip => clip !== null).map(clip => files[clip])));
    }
    history.replaceState(null, "", addressOf(this.track, group ? this.track.groups[group].label : undefined));
    this.changed();
  }

  drawRows() {
    const { track, mix } = this, { clips } = track.groups[mix.group];
    const names = { seek: time => this.seek(time), mark: (from, to, done) => this.markLoop(from, to, done) };
    this.pictures = [];
    this.sources = track.sources.map((source, index) => {
      const clip = source.kind === "mixture" ? source.clip : clips[index];
      const head = button({ role: "radio", class: "source", disabled: clip === undefined || clip === null || !track.audible },
        "", () => this.choose(index));
      head.append(make("kbd", {}, index < 9 ? String(index + 1) : ""),
        swatch(source), make("span", { class: "name" }, source.name),
        make("span", { class: "score" }));
      const picture = clip === undefined || clip === null || !track.picture ? make("p", { class: "quiet" }, "no sound was kept")
        : spectrogram(track, clip, `${track.groups[mix.group].label}: ${source.name}`, names);
      if (picture.box) this.pictures.push(picture);
      return { head, row: make("div", { class: "row" }, head, picture.box ?? picture), map: this.map(source, index, names) };
    });
    this.rows.replaceChildren(...this.sources.flatMap(({ row, map }) => map ? [row, map] : [row]), this.scale());
    this.drawTimes();
  }

  /** How far draws of a random method lie apart in the stem that is shown, where the run kept it. */
  map(source, index, names) {
    const { track, mix } = this, tag = track.maps[track.groups[mix.group].maps[index]];
    if (tag === undefined || tag === null) return null;
    const picture = pictureOf(track, tag, `spread of ${source.name}'s draws`, names);
    this.pictures.push(picture);
    return make("div", { class: "row map" }, make("p", { class: "quiet" }, "where its draws differ: their spread"), picture.box);
  }

  /** The axis below the spectrograms, and what their colours mean. */
  scale() {
    const { picture } = this.track;
    this.times = make("div", { class: "times" });
    if (!picture) return make("p");
    return make("div", { class: "row axis" }, make("div", { class: "colours" }, `−${picture.rangeDb} dB `, make("i", {}), " loudest of the mixture"),
      this.times);
  }

  /** As many times below the spectrograms as there is room for now. */
  drawTimes() {
    const { start, length } = this.track;
    this.times.replaceChildren(...timeLabels(start, start + length, this.times.clientWidth || 900).map(([time, text]) =>
      make("span", { style: `left:${100 * (time - start) / length}%` }, text)));
  }

  choose(source) {
    this.mix.choose(source);
    this.changed();
  }

  swap() {
    this.choose(this.mix.before);
  }

  setNull(kind) {
    this.mix.null = kind;
    this.changed();
  }

  toggle(set, group) {
    if (!set.delete(group)) set.add(group);
    this.changed();
  }

  seek(time) {
    this.player.seek(time);
  }

  markLoop(from, to, done) {
    if (to - from < 0.05) return;
    if (done) this.player.loop(true, [from, to]), this.player.seek(from);
    else for (const { band } of this.pictures) place(band, from, to, this.track.length);
  }

  say(text) {
    this.said = text;
    this.refresh();
    clearTimeout(this.unsaid);
    this.unsaid = setTimeout(() => { this.said = null; this.refresh(); }, 6000);
  }

  /** Something else is to be heard. */
  changed() {
    this.said = null;
    if (this.track.audible) this.player.hear(this.mix.gains());
    this.refresh();
  }

  refresh() {
    const { track, mix, player } = this;
    if (!this.sources) return;
    const values = track.scores[Number(this.metric.value)]?.values[mix.group] ?? {}, unit = track.scores[Number(this.metric.value)]?.unit;
    this.sources.forEach(({ head, row }, index) => {
      const value = values[index];
      row.classList.toggle("heard", index === mix.source && track.audible);
      head.setAttribute("aria-checked", String(index === mix.source));
      const score = head.querySelector(".score");
      score.textContent = typeof value === "number" ? `${value.toFixed(2)} ${unit}` : value === undefined ? "" : "undefined";
      score.title = typeof value === "string" ? value : "";
    });
    this.drawStems();
    this.drawNulls();
    const heard = track.audible ? `Hearing ${mix.words}` : "", { stem, truth } = track.groups[mix.group];
    this.truth.textContent = truth === stem ? "" : `The true ${stem} is the sum of ${truth.split("+").join(", ")}.`;
    const missing = [...mix.gains().keys()].filter(file => !player.ready.has(file)).length;
    this.status.textContent = this.said ?? player.failed ?? heard + (track.audible && missing ? " (decoding …)" : "");
    for (const { band } of this.pictures) {
      if (player.region) place(band, ...player.region, track.length); else band.hidden = true;
    }
    this.transport.refresh();
    this.moved();
  }

  drawStems() {
    const { track, mix } = this;
    this.stems.replaceChildren(...track.groups.map((group, index) => make("span", { class: "stem" },
      button({ "aria-pressed": String(index === mix.group), class: "name" }, group.label, () => this.show(index)),
      ...(track.audible ? [
        button({ "aria-pressed": String(mix.solo.has(index)), title: "solo", "aria-label": `solo ${group.label}`, class: "solo" }, "S",
          () => this.toggle(mix.solo, index)),
        button({ "aria-pressed": String(mix.muted.has(index)), title: "mute", "aria-label": `mute ${group.label}`, class: "mute" }, "M",
          () => this.toggle(mix.muted, index))] : []))));
  }

  drawNulls() {
    this.nulls.replaceChildren(make("span", { class: "quiet" }, "Null"), ...NULLS.map(([kind, text, meaning]) =>
      button({ role: "radio", "aria-checked": String(this.mix.null === kind), title: meaning }, text, () => this.setNull(kind))));
  }

  moved() {
    const position = this.player.position(), left = `${100 * position / this.track.length}%`;
    for (const { head } of this.pictures) head.style.left = left;
    this.transport.moved();
    this.curves.moved(position);
  }

  follow() {
    if (this.player.playing) {
      this.player.tick();
      this.moved();
    }
    this.following = requestAnimationFrame(() => this.follow());
  }

  close() {
    cancelAnimationFrame(this.following);
    this.resized.disconnect();
    clearTimeout(this.unsaid);
    this.player.close();
    this.box.replaceChildren();
  }
}

/** The line of a source's curve; reference points are dashed, as their greys are hard to tell apart. */
function swatch(source) {
  return drawn("svg", { class: "swatch", viewBox: "0 0 24 6", "aria-hidden": "true" },
    drawn("path", { d: "M0 3H24", stroke: source.colour ?? "currentColor", "stroke-dasharray": source.dash ?? "none" }));
}

function place(band, from, to, length) {
  band.hidden = false;
  band.style.left = `${100 * from / length}%`;
  band.style.width = `${100 * (to - from) / length}%`;
}

function addressOf(track, stem) {
  return `#track/${encodeURIComponent(track.key)}${stem === undefined ? "" : `/${encodeURIComponent(stem)}`}`;
}
