"use strict";
(() => {
  const table = document.getElementById("list");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const shown = document.getElementById("shown");
  const plural = (number) => number + (number === 1 ? " orchestrator" : " orchestrators");
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

  const label = document.createElement("label");
  label.htmlFor = "search";
  label.textContent = "Search";
  const search = document.createElement("input");
  search.type = "search";
  search.id = "search";
  search.setAttribute("aria-controls", "list");
  document.getElementById("tools").append(label, search);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const found = words.every((word) => texts.get(row).includes(word));
      row.hidden = !found;
      count += found ? 1 : 0;
    }
    shown.textContent = words.length ? count + " of " + plural(rows.length) + " shown." : plural(rows.length) + ".";
  });

  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.sort ?? cell.textContent.trim();
  };
  const compare = new Intl.Collator("en", { numeric: true }).compare;
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = heading.getAttribute("aria-sort") !== "ascending";
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sorted = rows.map((row) => [key(row, column), row]);
      // Rows without a value stay last in either direction.
      sorted.sort(([a], [b]) => (a === "") - (b === "") || (up ? compare(a, b) : compare(b, a)));
      body.append(...sorted.map(([, row]) => row));
    });
  });
})();
