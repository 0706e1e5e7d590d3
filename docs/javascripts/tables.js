"use strict";
// Tables inside <div class="sortable"> sort by a click, or Enter or Space, on the head of a column: first up, then down,
// then as they were. What is not known comes last.
(() => {
  const NUMBER = /^[\s(<>=≤≥≈~*]*(?:([+\-−]?\d+(?:\.\d+)?)·)?(?:10([⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)|([+\-−]?\d+(?:\.\d+)?(?:e[+\-−]?\d+)?))/i;
  const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

  // The number that a cell begins with, NaN where it does not: "0.06 [0.01, 0.1]" is 0.06, "−3 %" is -3.
  function number(text) {
    const found = NUMBER.exec(text.replace(/(\d),(?=\d{3}\b)/g, "$1"));
    if (!found) return NaN;
    const raised = [...found[2] ?? ""].map(sign => sign === "⁻" ? "-" : sign === "⁺" ? "" : RAISED.indexOf(sign)).join("");
    return Number((found[3] ?? `${found[1] ?? 1}e${raised}`).replaceAll("−", "-"));
  }

  // Order of the texts of a column: by number where most that are known begin with one, else by letter.
  function order(texts, down) {
    const known = texts.filter(text => text && text !== "–" && text !== "-");
    const numbers = texts.map(number);
    const numeric = known.filter(text => !Number.isNaN(number(text))).length > known.length / 2;
    const unknown = i => numeric ? Number.isNaN(numbers[i]) : !known.includes(texts[i]);
    const compare = (i, j) => numeric ? numbers[i] - numbers[j] : texts[i].localeCompare(texts[j], "en", { numeric: true });
    return texts.map((_, i) => i).sort((i, j) =>
      unknown(i) - unknown(j) || (unknown(i) ? i - j : (down ? -1 : 1) * compare(i, j)) || i - j);
  }

  function sortable(table) {
    const body = table.tBodies[0], rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
    // a first cell that is empty goes on with the one above, which has to be said once rows part
    let above = "";
    for (const row of rows) {
      const cell = row.cells[0], text = cell.textContent.trim();
      if (!text && above) cell.innerHTML = `<span class="again">${above}</span>`;
      else above = cell.innerHTML;
    }
    const text = (row, column) => row.cells[column]?.textContent.trim() ?? "";
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      if (!button.textContent.trim()) button.setAttribute("aria-label", "first column");
      head.append(button);
      button.addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        for (const other of heads) other.removeAttribute("aria-sort");
        const next = { ascending: "descending", descending: null }[now] ?? (now ? null : "ascending");
        if (next) head.setAttribute("aria-sort", next);
        table.toggleAttribute("data-sorted", Boolean(next));
        const wanted = next ? order(rows.map(row => text(row, column)), next === "descending") : rows.keys();
        body.append(...[...wanted].map(i => rows[i]));
      });
    });
  }

  if (typeof document !== "undefined")
    for (const table of document.querySelectorAll(".sortable table")) sortable(table);
  if (typeof module !== "undefined") module.exports = { number, order };
})();
