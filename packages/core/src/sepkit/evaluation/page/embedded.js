// Inside a frame of a page of the same server: the frame gets as tall as what is in it, so that nothing scrolls twice.

if (window.frameElement) {
  document.body.style.padding = "0 0 1rem"; // the page around it has its own margins
  const fit = () => { window.frameElement.style.height = `${Math.ceil(document.body.getBoundingClientRect().height) + 8}px`; };
  new ResizeObserver(fit).observe(document.body);
}
