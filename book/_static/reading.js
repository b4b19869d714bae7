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
