// Tables that sort by a click on a column's head, and the choice of the metric whose table is shown.

function sortBy(head) {
  const table = head.closest("table"), body = table.tBodies[0], index = head.cellIndex;
  const direction = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
  for (const other of head.parentElement.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const key = row => row.cells[index].dataset.sort ?? row.cells[index].textContent;
  const order = (a, b) => {
    const x = key(a), y = key(b);
    if (x === "" || y === "") return (x === "") - (y === ""); // what is missing stays last, either way
    return sign * (isNaN(x) || isNaN(y) ? String(x).localeCompare(y, undefined, { numeric: true }) : x - y);
  };
  body.append(...[...body.rows].sort(order));
}

for (const head of document.querySelectorAll("table.sortable th button")) {
  head.addEventListener("click", () => sortBy(head.parentElement));
}

for (const dataset of document.querySelectorAll("section.dataset")) {
  const choice = dataset.querySelector("select.metric");
  if (!choice) continue;
  const show = () => {
    for (const panel of dataset.querySelectorAll(".panel")) panel.hidden = panel.dataset.metric !== choice.value;
  };
  choice.addEventListener("change", show);
  show();
}
