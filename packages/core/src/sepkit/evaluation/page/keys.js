// The views' addresses, the keyboard, and what tests may look at.

const KEYS = [
  ["Space, P", "play or pause"], ["1 … 9", "hear the mixture, the reference, a method"],
  ["X", "back to what was heard before"], ["N", "next kind of null"], ["J, K", "next, previous stem"],
  ["S, M", "solo, mute the stem that is shown"], ["← →", "a second back or on; with Shift a tenth"],
  ["[ ]", "loop from here, up to here"], ["L", "loop on or off"], ["Home", "to the start"],
];

let page = null;

function keysHelp() {
  return make("details", { class: "keys" }, make("summary", {}, "Keys"),
    make("dl", {}, ...KEYS.flatMap(([key, meaning]) => [make("dt", {}, key), make("dd", {}, meaning)])),
    make("p", {}, "A click on a spectrogram or a curve plays from there; dragging over a spectrogram marks the loop."));
}

const ACTIONS = {
  " ": () => page.transport.toggle(),
  p: () => page.transport.toggle(),
  x: () => page.swap(),
  n: () => page.setNull(NULLS[(NULLS.findIndex(([kind]) => kind === page.mix.null) + 1) % NULLS.length][0]),
  j: () => page.show((page.mix.group + 1) % page.track.groups.length),
  k: () => page.show((page.mix.group + page.track.groups.length - 1) % page.track.groups.length),
  s: () => page.toggle(page.mix.solo, page.mix.group),
  m: () => page.toggle(page.mix.muted, page.mix.group),
  l: () => page.player.loop(!page.player.looping),
  "[": () => page.transport.mark(0),
  "]": () => page.transport.mark(1),
  home: () => page.seek(0),
  arrowleft: event => page.seek(page.player.position() - (event.shiftKey ? 0.1 : 1)),
  arrowright: event => page.seek(page.player.position() + (event.shiftKey ? 0.1 : 1)),
};

document.addEventListener("keydown", event => {
  if (!page?.track.audible || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = event.target, key = event.key.toLowerCase();
  if (target.closest("select, textarea, input:not([type=range], [type=checkbox])")) return;
  if (target.matches("input[type=range]") && /^(arrow|home)/.test(key)) return; // moves that slider
  if (key === " " && target.closest("button, summary, a, input[type=checkbox]")) return; // presses what has the focus
  const number = /^[1-9]$/.test(key) ? Number(key) : 0;
  if (page.actions && number) return; // of a take: nothing is numbered
  const action = number ? () => page.choose(number - 1) : (page.actions ?? ACTIONS)[key];
  if (!action || (number > page.track.sources?.length)) return;
  event.preventDefault();
  action(event);
});

/** Show what the address names: a track, perhaps a stem of it, or else the overview. */
function route() {
  const [view, key, stem] = location.hash.slice(1).split("/").map(part => decodeURIComponent(part));
  const track = report.single ? report.tracks[0] : view === "track" ? report.tracks.find(one => one.key === key) : undefined;
  const group = track ? Math.max(0, track.groups.findIndex(one => one.label === stem)) : 0;
  if (page && page.track === track && track.kind === "take") return;
  if (page && page.track === track) return page.mix.group === group ? undefined : page.show(group);
  page?.close();
  page = null;
  document.getElementById("overview").hidden = Boolean(track);
  const box = document.getElementById("track");
  box.hidden = !track;
  if (!track) return;
  page = track.kind === "take" ? new TakePage(track, box) : new TrackPage(track, box, group);
  window.scrollTo(0, 0);
}

window.addEventListener("hashchange", route);
wholePage.then(route);

/** What is going on, for tests; changing it changes nothing. */
window.sepkitReport = Object.freeze({
  state: () => page?.state ? page.state() : page ? {
    view: "track", track: page.track.key, stem: page.track.groups[page.mix.group]?.label, null: page.mix.null,
    source: page.track.sources[page.mix.source]?.name, words: page.mix.words, playing: page.player.playing,
    position: page.player.position(), length: page.track.length, start: page.track.start, level: page.player.level(),
    gains: Object.fromEntries(page.mix.gains()), decoded: [...page.player.ready.keys()], failed: page.player.failed,
    loop: page.player.run?.loop ?? null, context: page.player.context?.state ?? null,
    sampleRate: page.player.context?.sampleRate ?? null,
  } : { view: "overview" },
});
