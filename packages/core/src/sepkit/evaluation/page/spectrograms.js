// Spectrograms with a playhead: a click seeks, dragging marks the loop.

const TICKS_HZ = [100, 1000, 10000];

/** A picture of one file: `seek(seconds)` and `mark(from, to)` are told what the pointer does. */
function spectrogram(track, clip, label, actions) {
  return pictureOf(track, track.files[clip], label, actions);
}

/** The picture with that number on the page, over the track's frequencies and time. */
function pictureOf(track, number, label, { seek, mark }) {
  const source = document.getElementById(`picture-${number}`);
  const head = make("div", { class: "playhead" }), band = make("div", { class: "band", hidden: true });
  const box = make("div", { class: "picture", role: "img", "aria-label": `spectrogram of ${label}` });
  if (source) box.append(make("img", { alt: "", draggable: "false", src: `data:image/png;base64,${source.textContent}` }));
  const { lowHz, highHz } = track.picture;
  for (const hz of TICKS_HZ.filter(hz => hz > lowHz && hz < highHz)) {
    const height = 100 * Math.log(hz / lowHz) / Math.log(highHz / lowHz);
    box.append(make("span", { class: "tick", style: `bottom:${height.toFixed(1)}%` }, hz < 1000 ? `${hz}` : `${hz / 1000}k`));
  }
  box.append(band, head);
  pointed(box, track.length, seek, mark);
  return { box, head, band };
}

/** Turn what a pointer does on `box`, which shows `length` seconds, into seeks and marks. */
function pointed(box, length, seek, mark) {
  const at = event => {
    const { left, width } = box.getBoundingClientRect();
    return clamp((event.clientX - left) / width, 0, 1) * length;
  };
  let from = null, startX = 0, moved = false;
  box.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    [from, startX, moved] = [at(event), event.clientX, false];
    if (event.pointerType === "mouse") box.setPointerCapture(event.pointerId); // fingers must go on scrolling
  });
  box.addEventListener("pointermove", event => {
    if (from === null || event.pointerType !== "mouse") return;
    moved ||= Math.abs(event.clientX - startX) > 6;
    if (moved) mark(Math.min(from, at(event)), Math.max(from, at(event)), false);
  });
  box.addEventListener("pointerup", event => {
    if (from === null) return;
    if (moved) mark(Math.min(from, at(event)), Math.max(from, at(event)), true);
    else seek(at(event));
    from = null;
  });
  box.addEventListener("pointercancel", () => { from = null; });
}
