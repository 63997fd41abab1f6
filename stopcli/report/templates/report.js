
"use strict";
// Makes the headers of tables buttons that sort their rows, and figures buttons that enlarge them. Without it both are
// the same, as they were written.
function value(row, column) {
  const text = row.cells[column].textContent.trim().replaceAll("−", "-").replaceAll(",", "");
  const time = /^(?:(\d+)h)?(?:(\d+)m)?([\d.]+)s$/.exec(text);
  if (time) return Number(time[1] || 0) * 3600 + Number(time[2] || 0) * 60 + Number(time[3]);
  const number = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?/i.exec(text);
  return number ? Number(number[0]) : text;
}
function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}
function sort(table, column) {
  const headers = [...table.tHead.rows[0].cells];
  const down = headers[column].getAttribute("aria-sort") === "ascending";
  const empty = (row) => ["", "–", "—"].includes(row.cells[column].textContent.trim());
  const rows = [...table.tBodies[0].rows];
  rows.sort((a, b) => {
    if (empty(a) || empty(b)) return empty(a) - empty(b);
    return compare(value(a, column), value(b, column)) * (down ? -1 : 1);
  });
  headers.forEach((header) => header.removeAttribute("aria-sort"));
  headers[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  table.tBodies[0].append(...rows);
}
function wrapped(content, label, act) {
  const button = document.createElement("button");
  button.type = "button";
  if (label) button.title = label;
  button.append(...content);
  button.addEventListener("click", act);
  return button;
}
for (const table of document.querySelectorAll("table[data-sortable]")) {
  [...table.tHead.rows[0].cells].forEach((header, column) => {
    header.append(wrapped([...header.childNodes], "", () => sort(table, column)));
  });
}
const images = document.querySelectorAll("figure img");
if (images.length) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-label", "Enlarged figure");
  dialog.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  for (const image of images) {
    const figure = image.parentElement;
    figure.append(
      wrapped([image], "Enlarge", () => {
        const copy = image.cloneNode();
        dialog.className = figure.className;
        dialog.replaceChildren(copy, wrapped(["Close"], "", () => dialog.close()));
        dialog.showModal();
      }),
    );
  }
}
