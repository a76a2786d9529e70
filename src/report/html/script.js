"use strict";
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  // Records have no row of headings to sort by.
  if (body.rows.length > 1 && !table.classList.contains("wide")) heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = (row) => row.cells[column].dataset.sort;
      const order = (a, b) => key(a) !== undefined && key(b) !== undefined
        ? (BigInt(key(a)) < BigInt(key(b)) ? -1 : BigInt(key(a)) > BigInt(key(b)) ? 1 : 0)
        : a.cells[column].textContent.localeCompare(b.cells[column].textContent);
      const rows = Array.from(body.rows).sort(order);
      if (!up) rows.reverse();
      body.append(...rows);
    });
  });
  if (body.rows.length > 7) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const matches = document.createElement("span");
    label.className = "filter";
    input.type = "search";
    matches.setAttribute("role", "status");
    label.append("Only rows with", input, " ", matches);
    table.parentNode.before(label);
    input.addEventListener("input", () => {
      const word = input.value.toLowerCase();
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !row.textContent.toLowerCase().includes(word);
        shown += row.hidden ? 0 : 1;
      }
      matches.textContent = word ? `${shown} of ${body.rows.length} rows; the rest is hidden` : "";
    });
  }
}
addEventListener("beforeprint", () => document.querySelectorAll("tr[hidden]").forEach((row) => { row.hidden = false; }));
