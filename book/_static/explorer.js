/* The model explorer: draws what `multires.book.explorer` left in the page. No library, nothing fetched. */
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const INK = "#222222";
  const GRAY = "#767676";

  /** An element with attributes and children; strings become text, never markup. */
  function make(name, attributes = {}, children = [], space = null) {
    const node = space ? document.createElementNS(space, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined) node.setAttribute(key, value);
    }
    for (const child of [children].flat()) node.append(child);
    return node;
  }
  const svg = (name, attributes, children) => make(name, attributes, children, SVG);
  const label = (x, y, text, more = {}) =>
    svg("text", { x, y, fill: INK, "font-size": 12, "dominant-baseline": "middle", ...more }, [text]);

  function number(value) {
    if (value >= 1e9) return `${(value / 1e9).toPrecision(4)} billion`;
    if (value >= 1e6) return `${(value / 1e6).toPrecision(4)} million`;
    return value.toLocaleString("en");
  }
  const color = (data, period) => data.colors[String(Math.round(period))] ?? data.colors.other;

  /* ---- one or two models of the registry ---- */

  function choice(id, text, groups, chosen) {
    const select = make("select", { id });
    for (const [title, names] of groups) {
      const options = names.map(([value, shown]) => {
        const option = make("option", { value }, [shown]);
        option.selected = value === chosen;
        return option;
      });
      if (title) select.append(make("optgroup", { label: title }, options));
      else select.append(...options);
    }
    return [make("div", { class: "explorer-choice" }, [make("label", { for: id }, [text]), select]), select];
  }

  function facts(data, model, seconds, beside) {
    const rows = [["what it is", model.description]];
    if (model.data && model.data !== "none") rows.push(["trained on", model.data]);
    if (model.reference) rows.push(["described in", model.reference]);
    rows.push(["architecture known from", model.known_from]);
    if (model.blocks) {
      const layers = model.blocks.filter((block) => block.name !== "conv");
      rows.push(["layers by block", layers.map((block) => block.layers.length).join(" - ")]);
      rows.push(["frame periods", [...new Set(model.blocks.map((block) => `${block.period} ms`))].join(", ")]);
      rows.push(["width", String(model.width)]);
      rows.push(["parameters", model.parameters ? number(model.parameters) : "none"]);
      rows.push(["in float32", `${((4 * model.parameters) / 1e6).toFixed(1)} MB`]);
    }
    if (model.macs) {
      const total = sum(model.macs[seconds]);
      let text = `${number(total)} multiply-accumulates`;
      if (beside?.macs && beside !== model) {
        text += `, ${(total / sum(beside.macs[seconds])).toFixed(3)} of ${beside.key}`;
      }
      rows.push([`cost of ${seconds} s`, text]);
    }
    const body = rows.map(([name, value]) => make("tr", {}, [make("th", { scope: "row" }, [name]), make("td", {}, [value])]));
    return make("table", { class: "explorer-facts" }, [make("caption", {}, [model.key]), make("tbody", {}, body)]);
  }
  const sum = (values) => Object.values(values).reduce((total, value) => total + value, 0);

  /** Layers from the waveform up, each divided into the frames of 160 ms. */
  function drawing(data, model) {
    const height = 18, gap = 16, left = 78, width = 176;
    const rows = [];
    for (const [place, block] of model.blocks.entries()) {
      if (place) rows.push({ gap: true });
      block.layers.forEach((name, index) => rows.push({ name, block, first: index === 0 }));
    }
    const total = rows.reduce((y, row) => y + (row.gap ? gap : height), 0);
    const parts = [];
    let y = total;
    for (const row of rows) {
      y -= row.gap ? gap : height;
      if (row.gap) continue;
      const shade = color(data, row.block.period);
      const frames = Math.max(1, Math.min(16, Math.round(160 / row.block.period)));
      for (let frame = 0; frame < frames; frame += 1) {
        parts.push(svg("rect", { x: left + (width * frame) / frames, y: y + 2, width: width / frames, height: height - 4,
          fill: shade, "fill-opacity": 0.28, stroke: shade }));
      }
      parts.push(label(left - 8, y + height / 2, row.name, { "text-anchor": "end" }));
      if (row.first) {
        parts.push(label(left + width + 8, y + height / 2, `${row.block.period} ms`, { "font-weight": 600 }));
      }
    }
    const said = model.blocks.map((block) => `${block.name}: ${block.layers.length} at ${block.period} ms`).join(", ");
    return svg("svg", { viewBox: `0 0 340 ${total}`, width: 340, height: total, role: "img",
      "aria-label": `Layers of ${model.key} from the waveform up. ${said}.` }, parts);
  }

  /** Multiply-accumulates by block, as one bar on a scale that both models share. */
  function costBar(data, model, seconds, most) {
    const macs = model.macs[seconds], width = 330, parts = [], said = [];
    const order = ["conv", ...model.blocks.map((block) => block.name).filter((name) => name !== "conv"), "samplers"];
    let x = 0;
    const period = Object.fromEntries(model.blocks.map((block) => [block.name, block.period]));
    for (const name of order.filter((each) => macs[each])) {
      const length = (width * macs[name]) / most;
      const shade = name === "conv" ? "#8C8C8C" : name === "samplers" ? "#FFFFFF" : color(data, period[name]);
      const share = Math.round((100 * macs[name]) / sum(macs));
      parts.push(svg("rect", { x, y: 4, width: Math.max(length, 1), height: 22, fill: shade, "fill-opacity": 0.75, stroke: INK },
        [svg("title", {}, [`${name}: ${number(macs[name])}, ${share} %`])]));
      if (length > 44) parts.push(label(x + length / 2, 40, name, { "text-anchor": "middle", "font-size": 11 }));
      said.push(`${name} ${share} %`);
      x += length;
    }
    const picture = svg("svg", { viewBox: "0 0 340 50", width: 340, height: 50, role: "img",
      "aria-label": `Multiply-accumulates of ${model.key} by block: ${said.join(", ")}.` }, parts);
    return make("div", {}, [picture, make("p", { class: "explorer-note" }, [`by block: ${said.join(", ")}`])]);
  }

  function modelsPart(root, data) {
    const kinds = [["shipped", "shipped with the package"], ["published", "published"], ["untrained", "untrained"],
      ["acoustic", "acoustic features"]];
    const groups = kinds
      .map(([kind, title]) => [title, data.models.filter((model) => model.kind === kind).map((model) => [model.key, model.key])])
      .filter(([, names]) => names.length);
    const byKey = Object.fromEntries(data.models.map((model) => [model.key, model]));
    const durations = Object.keys(data.models.find((model) => model.macs).macs);
    const [first, one] = choice("explorer-model", "Model", groups, "mono_base");
    const [second, other] = choice("explorer-beside", "beside", [["", [["", "nothing"]]], ...groups], "hubert_base");
    const [third, time] = choice("explorer-seconds", "seconds of speech",
      [["", durations.map((name) => [name, name])]], "10");
    const stage = make("div", { class: "explorer-cards" });
    const draw = () => {
      const chosen = [byKey[one.value], byKey[other.value]].filter(Boolean);
      const most = Math.max(...chosen.map((model) => (model.macs ? sum(model.macs[time.value]) : 0)));
      stage.replaceChildren(...chosen.map((model, place) => {
        const card = make("div", { class: "explorer-card" }, [facts(data, model, time.value, chosen[1 - place])]);
        if (model.blocks) card.append(drawing(data, model));
        else card.append(make("p", {}, ["Its layers are told by the checkpoint: load it to see them."]));
        if (model.macs) card.append(costBar(data, model, time.value, most));
        return card;
      }));
    };
    for (const select of [one, other, time]) select.addEventListener("change", draw);
    root.replaceChildren(make("div", { class: "explorer-controls" }, [first, second, third]), stage);
    draw();
  }

  /* ---- all curves of the analyzed models ---- */

  const SHAPES = {
    o: (r) => svg("circle", { r }),
    s: (r) => svg("rect", { x: -r, y: -r, width: 2 * r, height: 2 * r }),
    D: (r) => svg("path", { d: `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z` }),
    "^": (r) => svg("path", { d: `M0 ${-1.2 * r}L${1.2 * r} ${r}L${-1.2 * r} ${r}Z` }),
  };
  function point(condition, shade, r) {
    const shape = (SHAPES[condition.marker] ?? SHAPES.o)(r);
    shape.setAttribute("stroke", shade);
    shape.setAttribute("stroke-width", 1.6);
    shape.setAttribute("fill", condition.filled ? shade : "#FFFFFF");
    return shape;
  }
  const radius = (period) => 3.5 + Math.log2(Math.max(period, 10) / 20);

  function ticks(low, high) {
    const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
    const found = [];
    for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-9; tick += step) found.push(Number(tick.toPrecision(6)));
    return found;
  }

  /** What stands at a point, in words. */
  function said(curves, panel, row) {
    const condition = curves.conditions[row[0]];
    const layer = condition.layers.find((each) => each.depth === row[1]);
    const interval = row[3] === null ? "" : ` [${row[3].toPrecision(3)}, ${row[4].toPrecision(3)}]`;
    const seeds = row[6] > 1 ? `, ${row[6]} seeds` : "";
    return `${condition.name}, ${layer.name}, ${layer.period} ms: ${row[2].toPrecision(3)}${interval}, n = ${row[5].toLocaleString("en")}${seeds}`;
  }

  function panelPicture(data, panel, state) {
    const curves = data.curves, width = 340, height = 230, box = { left: 44, right: 330, top: 12, bottom: 196 };
    const rows = panel.points.filter((row) => state.conditions.has(row[0]));
    const beside = state.baselines ? Object.entries(panel.beside) : [];
    const chance = state.baselines && panel.chance ? panel.chance : [];
    const values = rows.flatMap((row) => (state.intervals && row[3] !== null ? [row[2], row[3], row[4]] : [row[2]]));
    const all = [...values, ...beside.map(([, value]) => value), ...chance];
    if (!rows.length) return make("p", { class: "explorer-note" }, ["no condition chosen"]);
    let low = Math.min(...all), high = Math.max(...all);
    const room = (high - low || 0.1) * 0.08;
    low -= room;
    high += room;
    const deepest = Math.max(1, ...panel.points.map((row) => row[1]));
    const column = (box.right - box.left - 30) / deepest;
    const x = (depth, place = null) => {
      const aside = place === null ? 0 : 0.12 * (place - (curves.conditions.length - 1) / 2); // equal scores stay apart
      return box.left + 15 + column * (depth + aside);
    };
    const y = (value) => box.bottom - ((box.bottom - box.top) * (value - low)) / (high - low);
    const parts = [];
    for (const tick of ticks(low, high)) {
      parts.push(svg("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), stroke: "#E4E4E4" }));
      parts.push(label(box.left - 6, y(tick), String(tick), { "text-anchor": "end", "font-size": 11 }));
    }
    const every = Math.ceil((deepest + 1) / 13);
    for (let depth = 0; depth <= deepest; depth += every) {
      parts.push(label(x(depth), box.bottom + 13, String(depth), { "text-anchor": "middle", "font-size": 11 }));
    }
    parts.push(label((box.left + box.right) / 2, box.bottom + 29, "layer (0: waveform encoder)", { "text-anchor": "middle", "font-size": 11 }));
    parts.push(svg("line", { x1: box.left, x2: box.left, y1: box.top, y2: box.bottom, stroke: "#444444" }));
    if (chance.length) {
      parts.push(svg("rect", { x: box.left, width: box.right - box.left, y: y(chance[1]), height: Math.max(1.5, y(chance[0]) - y(chance[1])),
        fill: GRAY, "fill-opacity": 0.35 }));
    }
    for (const [name, value] of beside) {
      parts.push(svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), stroke: GRAY, "stroke-dasharray": "5 3" }));
      parts.push(label(box.right, y(value) - 7, name, { "text-anchor": "end", "font-size": 11 }));
    }
    const marks = [];
    for (const place of state.conditions) {
      const condition = curves.conditions[place];
      const own = rows.filter((row) => row[0] === place).sort((a, b) => a[1] - b[1]);
      parts.push(svg("polyline", { points: own.map((row) => `${x(row[1], place)},${y(row[2])}`).join(" "), fill: "none", stroke: GRAY }));
      for (const row of own) {
        const period = condition.layers.find((each) => each.depth === row[1]).period, shade = color(data, period);
        if (state.intervals && row[3] !== null) {
          parts.push(svg("line", { x1: x(row[1], place), x2: x(row[1], place), y1: y(row[3]), y2: y(row[4]), stroke: shade, "stroke-width": 1.4 }));
        }
        const mark = svg("g", { transform: `translate(${x(row[1], place)} ${y(row[2])})`, class: "explorer-point" },
          [svg("circle", { r: 11, fill: "transparent" }), point(condition, shade, radius(period))]);
        parts.push(mark);
        marks.push({ row, mark });
      }
    }
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "application",
      "aria-label": `${panel.group}, ${panel.title}, by depth. Arrow keys go from point to point.` }, parts);
    const readout = make("p", { class: "explorer-readout", role: "status" }, ["hover, tap, or use the arrow keys"]);
    let current = -1;
    const show = (index) => {
      if (current >= 0) marks[current].mark.classList.remove("explorer-current");
      current = (index + marks.length) % marks.length;
      marks[current].mark.classList.add("explorer-current");
      readout.textContent = said(curves, panel, marks[current].row);
    };
    marks.forEach(({ mark }, index) => {
      mark.addEventListener("pointerenter", () => show(index));
      mark.addEventListener("pointerdown", () => show(index));
    });
    picture.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      event.stopPropagation(); // the theme turns pages with the arrow keys
      show(current < 0 ? 0 : current + step);
    });
    return make("div", {}, [picture, readout]);
  }

  function box(text, checked, change, before = []) {
    const input = make("input", { type: "checkbox" });
    input.checked = checked;
    input.addEventListener("change", () => change(input.checked));
    return make("label", { class: "explorer-check" }, [input, ...before, ` ${text}`]);
  }

  function curvesPart(root, data) {
    const curves = data.curves, groups = [...new Set(curves.panels.map((panel) => panel.group))];
    const state = { conditions: new Set(curves.conditions.keys()), groups: new Set(groups), intervals: true, baselines: true };
    const stage = make("div", { class: "explorer-cards" });
    const draw = () => {
      const shown = curves.panels.filter((panel) => state.groups.has(panel.group));
      stage.replaceChildren(...shown.map((panel) => make("div", { class: "explorer-card" },
        [make("p", { class: "explorer-title" }, [`${panel.group}: ${panel.title}`]), panelPicture(data, panel, state)])));
    };
    const toggle = (set, key) => (on) => {
      if (on) set.add(key);
      else set.delete(key);
      draw();
    };
    const conditions = curves.conditions.map((condition, place) => {
      const icon = svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true", class: "explorer-icon" },
        [point(condition, INK, 4.5)]);
      return box(condition.name, true, toggle(state.conditions, place), [icon]);
    });
    const periods = [...new Set(curves.conditions.flatMap((each) => each.layers.map((layer) => layer.period)))].sort((a, b) => a - b);
    const key = periods.map((period) => make("span", { class: "explorer-check" }, [
      svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true", class: "explorer-icon" },
        [svg("circle", { r: radius(period), fill: color(data, period) })]), ` ${period} ms`]));
    const field = (title, children) => make("fieldset", {}, [make("legend", {}, [title]), ...children]);
    root.replaceChildren(
      make("div", { class: "explorer-controls" }, [
        field("Models", conditions),
        field("Measures", groups.map((name) => box(name, true, toggle(state.groups, name)))),
        field("Draw", [
          box("intervals", true, (on) => { state.intervals = on; draw(); }),
          box("chance and acoustic features", true, (on) => { state.baselines = on; draw(); }),
        ]),
        make("div", { class: "explorer-key" }, ["frame period: ", ...key]),
      ]),
      stage,
    );
    draw();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const source = document.getElementById("explorer-data");
    if (!source) return;
    const data = JSON.parse(source.textContent);
    modelsPart(document.getElementById("explorer-models"), data);
    curvesPart(document.getElementById("explorer-curves"), data);
  });
})();
