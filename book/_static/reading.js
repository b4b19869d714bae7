/* What is wider than the page scrolls in its own box; a box that does can be reached and scrolled with the keyboard. */
"use strict";

(() => {
  const BOXES = ".cell_output, figure, div.math, .math-wrapper, .pst-scrollable-table-container, .table-container, pre";

  function reach() {
    for (const box of document.querySelectorAll(`.bd-article :is(${BOXES})`)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (scrolls && !box.hasAttribute("tabindex")) {
        box.setAttribute("tabindex", "0");
        box.setAttribute("data-reached", "");
        if (box.tagName !== "FIGURE" && !box.hasAttribute("role")) {
          box.setAttribute("role", "group");
          box.setAttribute("aria-label", "scrolls sideways");
        }
      } else if (!scrolls && box.hasAttribute("data-reached")) {
        box.removeAttribute("tabindex");
        box.removeAttribute("data-reached");
      }
    }
  }
  addEventListener("load", reach);
  addEventListener("resize", reach);
})();

/* Definitions of terms and entries of the bibliography, on hover and on keyboard focus; Escape hides them. */
(() => {
  let tip = null, owner = null;

  function hide() {
    owner?.removeAttribute("aria-describedby");
    tip?.remove();
    tip = owner = null;
  }

  function show(link) {
    if (owner === link) return;
    hide();
    owner = link;
    tip = document.createElement("div");
    tip.id = "definition";
    tip.setAttribute("role", "tooltip");
    tip.textContent = link.dataset.definition;
    document.body.append(tip);
    link.setAttribute("aria-describedby", tip.id);
    const at = link.getBoundingClientRect(), room = document.documentElement.clientWidth;
    tip.style.left = `${Math.max(8, Math.min(at.left, room - tip.offsetWidth - 8)) + scrollX}px`;
    const above = at.top > tip.offsetHeight + 12;
    tip.style.top = `${(above ? at.top - tip.offsetHeight - 6 : at.bottom + 6) + scrollY}px`;
    tip.addEventListener("mouseleave", hide);
  }

  addEventListener("DOMContentLoaded", () => {
    for (const link of document.querySelectorAll(".bd-article a[title][href*='bibliography']")) {
      link.dataset.definition = link.title;
      link.removeAttribute("title");
    }
    for (const link of document.querySelectorAll("a[data-definition]")) {
      link.addEventListener("mouseenter", () => show(link));
      link.addEventListener("focus", () => show(link));
      link.addEventListener("blur", hide);
      link.addEventListener("mouseleave", (event) => { if (event.relatedTarget !== tip) hide(); });
    }
  });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
})();

/* A long table of models shows the rows that hold every word of the filter above it. */
(() => {
  const LONG = 12;

  function element(name, attributes, text = "") {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  }

  addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".bd-article table.models").forEach((table, place) => {
      const rows = [...table.tBodies[0].rows];
      if (rows.length <= LONG) return;
      const id = `filter-${place}`;
      const input = element("input", { type: "search", id, placeholder: "for example: published 40" });
      const status = element("span", { role: "status" }, `${rows.length} rows`);
      const bar = element("div", { class: "table-filter" });
      bar.append(element("label", { for: id }, "Filter"), input, status);
      const box = table.closest(".pst-scrollable-table-container") ?? table;
      box.classList.add("table-filtered");
      box.before(bar);
      input.addEventListener("input", () => {
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0;
        for (const row of rows) {
          const text = row.textContent.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
          shown += !row.hidden;
        }
        status.textContent = `${shown} of ${rows.length} rows`;
      });
    });
  });
})();
