// The bar that plays: play and pause, position, loop and volume.

const PLAY = "M5 3v14l12-7z", PAUSE = "M5 3h4v14h-4zM11 3h4v14h-4z"; // drawn: not every font has the signs

class Transport {
  constructor(player, track) {
    this.player = player;
    this.start = track.start;
    const { length } = track;
    this.shape = drawn("path", {});
    this.playing = button({ class: "play", "aria-keyshortcuts": "Space" }, "", () => this.toggle());
    this.playing.append(drawn("svg", { viewBox: "0 0 20 20", "aria-hidden": "true" }, this.shape));
    this.seek = make("input", { type: "range", min: 0, max: length, step: "any", value: 0, class: "seek",
      "aria-label": "position in the excerpt", oninput: () => player.seek(Number(this.seek.value)) });
    this.time = make("output", { class: "time" });
    this.looping = button({ class: "loop", "aria-pressed": "false", title: "repeat (L)" }, "loop", () => {
      player.loop(!player.looping);
    });
    this.from = button({ title: "loop from here ([)", "aria-label": "loop from here" }, "[", () => this.mark(0));
    this.to = button({ title: "loop up to here (])", "aria-label": "loop up to here" }, "]", () => this.mark(1));
    this.clear = button({ title: "loop all of the excerpt", "aria-label": "clear the loop region" }, "×", () => {
      player.loop(player.looping, null);
    });
    this.volume = make("input", { type: "range", min: -40, max: 12, step: 1, value: 0, class: "volume",
      "aria-label": "volume in dB", oninput: () => this.setVolume(Number(this.volume.value)) });
    this.loudness = make("output", { class: "loudness" }, "0 dB");
    this.band = make("div", { class: "band", hidden: true });
    this.element = make("div", { class: "transport", role: "group", "aria-label": "playback" },
      this.playing,
      make("div", { class: "line" }, this.band, this.seek),
      this.time,
      make("div", { class: "loops", role: "group", "aria-label": "loop" },
        this.looping, this.from, this.to, this.clear),
      make("label", { class: "loud" }, make("span", {}, "volume"), this.volume, this.loudness));
    this.refresh();
  }

  toggle() {
    if (this.player.playing) this.player.pause();
    else this.player.play();
  }

  /** Set one end of the loop region at the present position, and loop. */
  mark(end) {
    const { player } = this, position = player.position();
    const region = [...(player.region ?? [0, player.length])];
    region[end] = position;
    if (region[1] - region[0] < 0.05) region[1 - end] = end ? Math.max(0, position - 1) : player.length;
    if (region[1] - region[0] >= 0.05) player.loop(true, region);
  }

  setVolume(decibels) {
    this.player.volume(decibels);
    this.loudness.textContent = decibels <= -40 ? "off" : `${decibels > 0 ? "+" : ""}${decibels} dB`;
  }

  refresh() {
    const { player } = this, region = player.region;
    this.shape.setAttribute("d", player.playing ? PAUSE : PLAY);
    this.playing.setAttribute("aria-label", player.playing ? "pause" : "play");
    this.looping.setAttribute("aria-pressed", String(player.looping));
    this.clear.disabled = region === null;
    this.band.hidden = region === null;
    if (region) {
      this.band.style.left = `${100 * region[0] / player.length}%`;
      this.band.style.width = `${100 * (region[1] - region[0]) / player.length}%`;
    }
    this.moved();
  }

  /** Show the position; called for every picture that the screen draws. */
  moved() {
    const position = this.player.position();
    this.seek.value = position;
    this.seek.setAttribute("aria-valuetext", `${position.toFixed(1)} seconds`);
    const text = `${clock(this.start + position)} / ${clock(this.start + this.player.length)}`;
    if (this.time.textContent !== text) this.time.textContent = text;
  }
}
