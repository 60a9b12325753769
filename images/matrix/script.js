// SPDX-License-Identifier: MIT
// Filters and sorting of the table. Without it the page shows everything, in the table's order.
"use strict";
(() => {
  const table = document.querySelector("table.matrix");
  const controls = document.querySelector(".controls");
  if (!table || !controls) return;
  controls.hidden = false;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const text = document.getElementById("find");
  const strategy = document.getElementById("strategy");
  const boxes = [...controls.querySelectorAll("input[type=checkbox]")];
  const shown = document.getElementById("shown");

  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const states = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    let count = 0;
    for (const row of rows) {
      let cells = [...row.querySelectorAll("[data-state]")];
      if (strategy.value) cells = cells.filter((cell) => cell.dataset.strategy === strategy.value);
      const visible = cells.some((cell) => states.has(cell.dataset.state)) &&
        words.every((word) => row.dataset.text.includes(word));
      row.hidden = !visible;
      count += visible;
    }
    for (const cell of table.querySelectorAll("[data-strategy]")) {
      cell.hidden = strategy.value !== "" && cell.dataset.strategy !== strategy.value;
    }
    shown.textContent = `${count} of ${rows.length} lines`;
  };

  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim();
  };
  table.tHead.addEventListener("click", (click) => {
    const heading = click.target.closest("th");
    if (!heading || !click.target.closest("button")) return;
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = (a, b) => {
      const left = value(a, column), right = value(b, column);
      return typeof left === "number" ? left - right : left.localeCompare(right);
    };
    rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
    body.append(...rows);
  });
  for (const input of [text, strategy, ...boxes]) input.addEventListener("input", filter);
  filter();
})();
