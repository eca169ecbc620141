// What the other scripts build on: the data, small makers of elements, and times in words.

const report = JSON.parse(document.getElementById("data").textContent);

/** Settled when the whole file has been read: the sound lies behind the scripts, so that tables show at once. */
const wholePage = new Promise(resolve => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", resolve, { once: true });
  else resolve();
});

/** An element with attributes, listeners (`onclick: f`) and children; text is never read as markup. */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}

/** Minutes and seconds: 1:02.3 */
function clock(seconds, digits = 1) {
  const whole = Number(Math.max(0, seconds).toFixed(digits)), minutes = Math.floor(whole / 60); // rounded first: no 0:60
  const rest = (whole - 60 * minutes).toFixed(digits);
  return `${minutes}:${rest.padStart(digits ? digits + 3 : 2, "0")}`;
}

/** A button that mouse users leave at once, so that the space bar goes on playing; keyboards keep their focus. */
function button(attributes, label, action) {
  return make("button", { type: "button", ...attributes, onclick: event => {
    action(event);
    if (event.detail > 0) event.currentTarget.blur();
  } }, label);
}

/** Bytes of a base64 text. */
function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}
