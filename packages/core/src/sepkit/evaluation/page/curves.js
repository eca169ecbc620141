// Scores of every window, all methods over each other; a click on a window plays from there.

const PLOT = { height: 220, top: 18, bottom: 22 }; // pixels; as wide as the spectrograms, so that times stand above each other
const TIME_WIDTH = 62; // pixels, of a time below a picture and the space beside it

class Curves {
  /** `seek(seconds of the track)` is called with a window's start; `say` shows one line of text. */
  constructor(track, seek, say) {
    Object.assign(this, { track, seek, say, hidden: new Set(), group: 0, chosen: 0 });
    this.whole = !(track.length < track.seconds - 0.5) || !track.audible;
    this.plot = make("div", { class: "plot" });
    this.legend = make("div", { class: "legend", role: "group", "aria-label": "curves to show" });
    this.readout = make("p", { class: "readout", "aria-live": "off" });
    this.choice = make("select", { onchange: () => { this.chosen = Number(this.choice.value); this.draw(); } },
      ...track.curves.map((curve, index) => make("option", { value: index }, `${named(curve)} (${curve.recipe})`)));
    const range = make("input", { type: "checkbox", checked: this.whole, onchange: event => {
      this.whole = event.target.checked;
      this.draw();
    } });
    const partly = track.audible && track.length < track.seconds - 0.5;
    this.element = make("section", { class: "curves" }, make("h3", {}, "Score of every window"),
      track.curves.length
        ? make("div", {}, make("p", { class: "chooser" }, make("label", {}, "Metric ", this.choice),
          partly ? make("label", {}, range, " whole track") : null),
          make("div", { class: "row" }, this.legend, this.plot), this.readout)
        : make("p", { class: "quiet" }, "This run kept no scores of windows."));
  }

  show(group) {
    this.group = group;
    this.draw();
  }

  get curve() {
    return this.track.curves[this.chosen];
  }

  /** First and last second that are drawn. */
  get range() {
    return this.whole ? [0, this.track.seconds] : [this.track.start, this.track.start + this.track.length];
  }

  draw() {
    if (!this.curve) return;
    const { curve, track } = this, values = curve.values[this.group] ?? {}, own = Object.keys(values).map(Number);
    const [first, last] = this.range;
    const inside = curve.times.map(time => time + curve.duration > first && time < last);
    const shown = own.filter(source => !this.hidden.has(source));
    const every = shown.flatMap(source => values[source].filter((value, index) => value !== null && inside[index]));
    const { height, top, bottom } = PLOT, width = Math.max(200, this.plot.clientWidth || 900);
    const [low, high, step] = scaleOf(every);
    this.x = time => (time - first) / (last - first) * width;
    const y = value => top + (high - value) / (high - low) * (height - top - bottom);
    const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": `${named(curve)} of every window of ${track.groups[this.group].label}; a click plays from there` });
    for (let level = low; level <= high + step / 2; level += step) {
      svg.append(drawn("line", { class: Math.abs(level) < step / 2 ? "axis" : "line", x1: 0, x2: width, y1: y(level), y2: y(level) }),
        drawn("text", { class: "level", x: 3, y: y(level) - 3 }, String(Number(level.toFixed(3)))));
    }
    for (const [time, text] of timeLabels(first, last, width)) {
      svg.append(drawn("text", { class: "time", x: this.x(time), y: height - 6, "text-anchor": time - first < (last - first) / 50 ? "start" : "middle" }, text));
    }
    if (track.audible && this.whole && track.length < track.seconds - 0.5) {
      svg.append(drawn("rect", { class: "excerpt", x: this.x(track.start), width: this.x(track.start + track.length) - this.x(track.start), y: top, height: height - top - bottom },
        drawn("title", {}, "the excerpt that can be heard")));
    }
    const clip = drawn("g", { class: "lines" });
    for (const source of shown) this.line(clip, values[source], inside, y, track.sources[source]);
    this.mark = drawn("rect", { class: "window", y: top, height: height - top - bottom, width: 0 });
    this.head = drawn("line", { class: "head", y1: top, y2: height - bottom });
    svg.append(this.mark, clip, this.head);
    if (!every.length) svg.append(drawn("text", { x: width / 2, y: height / 2, "text-anchor": "middle" }, "no number in these windows"));
    svg.append(drawn("text", { class: "unit", x: width - 3, y: 11, "text-anchor": "end" }, named(curve)));
    svg.addEventListener("click", event => this.clicked(this.timeAt(svg, event)));
    svg.addEventListener("pointermove", event => this.read(this.windowAt(this.timeAt(svg, event))));
    svg.addEventListener("pointerleave", () => { this.over = null; });
    this.plot.replaceChildren(svg);
    this.keys(own);
    this.over = null;
    this.moved(this.position ?? 0);
  }

  /** One method's curve at the windows' middles, broken where a window has no number. */
  line(into, values, inside, y, source) {
    const { curve } = this, [first, last] = this.range;
    let path = "", alone = null, length = 0;
    const points = [];
    const end = () => { if (length === 1) points.push(alone); length = 0; };
    values.forEach((value, index) => {
      const middle = curve.times[index] + curve.duration / 2;
      if (value === null || !inside[index] || middle < first || middle > last) return end();
      const at = `${this.x(middle).toFixed(1)} ${y(value).toFixed(1)}`;
      path += `${length ? "L" : "M"}${at}`;
      alone = at;
      length += 1;
    });
    end();
    const colour = source.colour ?? "currentColor";
    into.append(drawn("path", { d: path || "M0 0", stroke: colour, "stroke-dasharray": source.dash ?? "none", "data-source": source.name }, drawn("title", {}, source.name)));
    for (const point of points) {
      const [cx, cy] = point.split(" ");
      into.append(drawn("circle", { cx, cy, r: 2.5, fill: colour }));
    }
  }

  keys(own) {
    this.legend.replaceChildren(...own.map(source => {
      const one = this.track.sources[source];
      const box = make("input", { type: "checkbox", checked: !this.hidden.has(source), onchange: () => {
        if (box.checked) this.hidden.delete(source); else this.hidden.add(source);
        this.draw();
      } });
      return make("label", {}, box, swatch(one), one.name);
    }));
    if (!own.length) this.legend.append(make("span", { class: "quiet" }, "No windows were kept of this stem."));
  }

  timeAt(svg, event) {
    const { left, width } = svg.getBoundingClientRect(), [first, last] = this.range;
    return clamp(first + (event.clientX - left) / width * (last - first), first, last);
  }

  /** The window whose middle is nearest, among those that hold the time; the nearest of all where none does. */
  windowAt(time) {
    const { times, duration } = this.curve;
    let best = 0;
    times.forEach((start, index) => {
      if (Math.abs(start + duration / 2 - time) < Math.abs(times[best] + duration / 2 - time)) best = index;
    });
    return best;
  }

  clicked(time) {
    const { track, curve } = this, window = this.windowAt(time), start = curve.times[window];
    this.read(window);
    if (!track.audible) return this.say("There is no sound to play on this page.");
    if (start + curve.duration <= track.start || start >= track.start + track.length) {
      return this.say(`The window ${clock(start)} – ${clock(start + curve.duration)} lies outside of the excerpt `
        + `${clock(track.start)} – ${clock(track.start + track.length)}, the part that can be heard here.`);
    }
    this.seek(Math.max(start, track.start));
  }

  /** The numbers of one window in words; where the pointer is, or else where the playhead is. */
  read(window, hovering = true) {
    const { curve, track } = this, values = curve.values[this.group] ?? {};
    if (hovering) this.over = window;
    const start = curve.times[window];
    this.mark.setAttribute("x", this.x(Math.max(start, this.range[0])));
    this.mark.setAttribute("width", Math.max(0, this.x(Math.min(start + curve.duration, this.range[1])) - this.x(Math.max(start, this.range[0]))));
    const numbers = Object.keys(values).filter(source => !this.hidden.has(Number(source))).map(source =>
      `${track.sources[source].name} ${values[source][window] === null ? "undefined" : `${values[source][window].toFixed(2)} ${curve.unit}`.trimEnd()}`);
    this.readout.textContent = `${clock(start)} – ${clock(start + curve.duration)}:  ${numbers.join(" · ")}`;
  }

  /** Follow the playhead, `position` seconds into the excerpt. */
  moved(position) {
    this.position = position;
    if (!this.curve || !this.head) return;
    const time = this.track.start + position, x = this.x(time);
    this.head.setAttribute("x1", x);
    this.head.setAttribute("x2", x);
    if (this.over === null || this.over === undefined) this.read(this.windowAt(time), false);
  }
}

/** Round limits and step of an axis that holds these values. */
function scaleOf(values) {
  const low = Math.min(...values, Infinity), high = Math.max(...values, -Infinity);
  if (!values.length) return [0, 1, 1];
  const span = Math.max(high - low, 1e-3), rough = span / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map(factor => factor * power).find(candidate => candidate >= rough);
  return [Math.floor(low / step) * step, Math.max(Math.ceil(high / step) * step, Math.floor(low / step) * step + step), step];
}

/** Round times and their words, no more than `width` pixels have room for; with tenths where less than 10 s is shown. */
function timeLabels(first, last, width) {
  const span = last - first, most = clamp(Math.floor(width / TIME_WIDTH), 2, 10);
  const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300].find(candidate => span / candidate <= most) ?? 600;
  const labels = [];
  for (let n = Math.ceil(first / step - 1e-6); n * step <= last - 0.02 * span; n += 1) { // none is cut by the edge
    labels.push([n * step, clock(n * step, span < 10 ? 1 : 0)]);
  }
  return labels;
}

/** What a curve shows, with its unit. */
function named(curve) {
  return curve.unit ? `${curve.metric}, ${curve.unit}` : curve.metric;
}
