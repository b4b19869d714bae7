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

  /* ---- the state of the page, kept in its address so that a view can be shared ---- */

  const address = new URLSearchParams(location.search);
  function remember(key, value, usual = "") {
    if (value !== usual) address.set(key, value);
    else address.delete(key);
    const query = address.toString();
    try {
      history.replaceState(history.state, "", `${query ? `?${query}` : location.pathname}${location.hash}`);
    } catch { /* some browsers refuse it for a page that was opened from disk */ }
  }
  const recalled = (key) => (address.get(key) ?? "").split("|").filter(Boolean);

  /* ---- files to keep ---- */

  function save(blob, name) {
    const link = make("a", { href: URL.createObjectURL(blob), download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  const fileName = (title, ending) => `${title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "")}.${ending}`;
  const quoted = (value) => {
    const text = value === null ? "" : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  function saveTable(title, rows) {
    save(new Blob([rows.map((row) => row.map(quoted).join(",")).join("\n") + "\n"], { type: "text/csv" }), fileName(title, "csv"));
  }

  /** A picture with its title and key, at three times its size. */
  function savePicture(title, picture, key) {
    const { width, height } = picture.viewBox.baseVal, whole = height + 26 + 18 * key.length;
    const lines = key.map(([mark, text], place) =>
      svg("g", { transform: `translate(14 ${height + 34 + 18 * place})` }, [mark, label(14, 0, text)]));
    const drawn = svg("g", { transform: "translate(0 24)" }, [...picture.cloneNode(true).childNodes]);
    const sheet = svg("svg", { viewBox: `0 0 ${width} ${whole}`, width: 3 * width, height: 3 * whole, "font-family": "sans-serif" },
      [svg("rect", { width, height: whole, fill: "#FFFFFF" }), label(8, 13, title, { "font-weight": 600 }), drawn, ...lines]);
    const image = new Image();
    image.addEventListener("load", () => {
      const canvas = make("canvas", { width: 3 * width, height: 3 * whole });
      canvas.getContext("2d").drawImage(image, 0, 0);
      canvas.toBlob((blob) => save(blob, fileName(title, "png")), "image/png");
    });
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(sheet))}`;
  }
  function button(text, title, act) {
    const node = make("button", { type: "button", class: "explorer-button", "aria-label": title }, [text]);
    node.addEventListener("click", act);
    return node;
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
      const layers = model.blocks.slice(1); // after what precedes the Transformer
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
    const order = [...model.blocks.map((block) => block.name), "samplers"];
    let x = 0;
    const period = Object.fromEntries(model.blocks.map((block) => [block.name, block.period]));
    for (const name of order.filter((each) => macs[each])) {
      const length = (width * macs[name]) / most;
      const shade = name === order[0] ? "#8C8C8C" : name === "samplers" ? "#FFFFFF" : color(data, period[name]);
      const share = Math.round((100 * macs[name]) / sum(macs));
      parts.push(svg("rect", { x, y: 4, width: Math.max(length, 1), height: 22, fill: shade, "fill-opacity": 0.75, stroke: INK },
        [svg("title", {}, [`${name}: ${number(macs[name])}, ${share} %`])]));
      if (length > 6.3 * name.length + 4) parts.push(label(x + length / 2, 40, name, { "text-anchor": "middle", "font-size": 11 }));
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
    const usual = { model: "mono_base", beside: "hubert_base", seconds: "10" }, start = (key) => address.get(key) ?? usual[key];
    const [first, one] = choice("explorer-model", "Model", groups, start("model"));
    const [second, other] = choice("explorer-beside", "beside", [["", [["", "nothing"]]], ...groups], start("beside"));
    const [third, time] = choice("explorer-seconds", "seconds of speech",
      [["", durations.map((name) => [name, name])]], start("seconds"));
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
    for (const [key, select] of [["model", one], ["beside", other], ["seconds", time]]) {
      select.addEventListener("change", () => {
        remember(key, select.value, usual[key]);
        draw();
      });
    }
    root.replaceChildren(make("div", { class: "explorer-controls" }, [first, second, third]), stage);
    draw();
  }

  /* ---- all curves of the analyzed models ---- */

  const triangle = (r, turn) => svg("path", { d: `M0 ${-1.2 * r}L${1.2 * r} ${r}L${-1.2 * r} ${r}Z`, transform: `rotate(${turn})` });
  const cross = (r, turn) => {
    const [a, b] = [0.45 * r, 1.3 * r];
    return svg("path", { d: `M${-a} ${-b}H${a}V${-a}H${b}V${a}H${a}V${b}H${-a}V${a}H${-b}V${-a}H${-a}Z`, transform: `rotate(${turn})` });
  };
  const SHAPES = {
    o: (r) => svg("circle", { r }),
    s: (r) => svg("rect", { x: -r, y: -r, width: 2 * r, height: 2 * r }),
    D: (r) => svg("path", { d: `M0 ${-1.3 * r}L${1.3 * r} 0L0 ${1.3 * r}L${-1.3 * r} 0Z` }),
    "^": (r) => triangle(r, 0),
    v: (r) => triangle(r, 180),
    "<": (r) => triangle(r, 270),
    ">": (r) => triangle(r, 90),
    P: (r) => cross(r, 0),
    X: (r) => cross(r, 45),
    "*": (r) => svg("path", { d: `M${[...Array(10).keys()].map((corner) => {
      const length = corner % 2 ? 0.6 * r : 1.4 * r, angle = (Math.PI * corner) / 5;
      return `${length * Math.sin(angle)} ${-length * Math.cos(angle)}`;
    }).join("L")}Z` }),
  };
  function point(condition, shade, r) {
    const shape = (SHAPES[condition.marker] ?? SHAPES.o)(r);
    shape.setAttribute("stroke", shade);
    shape.setAttribute("stroke-width", 1.6);
    shape.setAttribute("fill", condition.filled ? shade : "#FFFFFF");
    if (!condition.untrained) return shape;
    const half = 0.6 * r;
    return svg("g", {}, [shape, svg("path", { d: `M${-half} ${-half}L${half} ${half}M${-half} ${half}L${half} ${-half}`, stroke: shade })]);
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
  function said(conditions, row) {
    const condition = conditions[row[0]];
    const layer = condition.layers.find((each) => each.depth === row[1]);
    const interval = row[3] === null ? "" : ` [${row[3].toPrecision(3)}, ${row[4].toPrecision(3)}]`;
    const seeds = row[6] > 1 ? `, ${row[6]} seeds` : "";
    return `${condition.name}, ${layer.name}, ${layer.period} ms: ${row[2].toPrecision(3)}${interval}, n = ${row[5].toLocaleString("en")}${seeds}`;
  }

  /** What a panel draws: its models and points, or the difference of two models, layer by layer. */
  function content(curves, panel, state) {
    const { conditions } = curves;
    if (!state.less) {
      return { conditions, rows: panel.points.filter((row) => state.conditions.has(row[0])), places: [...state.conditions],
        beside: state.baselines ? Object.entries(panel.beside) : [], chance: state.baselines && panel.chance ? panel.chance : [] };
    }
    const [one, other] = state.less, known = new Map(panel.points.filter((row) => row[0] === other).map((row) => [row[1], row]));
    const pairs = panel.points.filter((row) => row[0] === one && known.has(row[1])).map((row) => [row, known.get(row[1])]);
    return { conditions: [{ ...conditions[one], name: `${conditions[one].name} less ${conditions[other].name}` }], places: [0],
      rows: pairs.map(([a, b]) => [0, a[1], a[2] - b[2], null, null, Math.min(a[5], b[5]), Math.min(a[6], b[6])]), beside: [], chance: [] };
  }

  function panelPicture(data, panel, state) {
    const width = 340, height = 236, box = { left: 44, right: 330, top: 12, bottom: 196 };
    const { conditions, rows, places, beside, chance } = content(data.curves, panel, state);
    const values = rows.flatMap((row) => (state.intervals && row[3] !== null ? [row[2], row[3], row[4]] : [row[2]]));
    const all = [...values, ...beside.map(([, value]) => value), ...chance, ...(state.less ? [0] : [])];
    if (!rows.length) return make("p", { class: "explorer-note" }, [state.less ? "the two have no layer in common here" : "no model chosen"]);
    let low = Math.min(...all), high = Math.max(...all);
    const room = (high - low || 0.1) * 0.08;
    low -= room;
    high += room;
    const deepest = Math.max(1, ...panel.points.map((row) => row[1]));
    const column = (box.right - box.left - 30) / deepest;
    const x = (depth, place = null) => {
      const aside = place === null ? 0 : (0.6 / conditions.length) * (place - (conditions.length - 1) / 2); // equal scores stay apart
      return box.left + 15 + column * (depth + aside);
    };
    const y = (value) => box.bottom - ((box.bottom - box.top) * (value - low)) / (high - low);
    const inputs = [...new Set(conditions.flatMap((each) => each.layers.filter((layer) => layer.depth === 0).map((layer) => layer.name)))].filter((name) => name !== "layer 0");
    const parts = [];
    for (const tick of ticks(low, high)) {
      parts.push(svg("line", { x1: box.left, x2: box.right, y1: y(tick), y2: y(tick), stroke: "#E4E4E4" }));
      parts.push(label(box.left - 6, y(tick), String(tick), { "text-anchor": "end", "font-size": 11 }));
    }
    const every = Math.ceil((deepest + 1) / 13);
    for (let depth = 0; depth <= deepest; depth += every) {
      parts.push(label(x(depth), box.bottom + 13, String(depth), { "text-anchor": "middle", "font-size": 11 }));
    }
    parts.push(label((box.left + box.right) / 2, box.bottom + 29, inputs.length ? `layer (0: ${inputs.join(" or ")})` : "layer", { "text-anchor": "middle", "font-size": 11 }));
    parts.push(svg("line", { x1: box.left, x2: box.left, y1: box.top, y2: box.bottom, stroke: "#444444" }));
    if (chance.length) {
      parts.push(svg("rect", { x: box.left, width: box.right - box.left, y: y(chance[1]), height: Math.max(1.5, y(chance[0]) - y(chance[1])),
        fill: GRAY, "fill-opacity": 0.35 }));
    }
    if (state.less) parts.push(svg("line", { x1: box.left, x2: box.right, y1: y(0), y2: y(0), stroke: "#444444" }));
    const names = beside.map(([name, value]) => ({ name, value, at: y(value) - 7 })).sort((a, b) => a.at - b.at);
    names.forEach((each, place) => {
      if (place) each.at = Math.max(each.at, names[place - 1].at + 12); // names do not lie on each other
      parts.push(svg("line", { x1: box.left, x2: box.right, y1: y(each.value), y2: y(each.value), stroke: GRAY, "stroke-dasharray": "5 3" }));
    });
    const marks = [];
    for (const place of places) {
      const condition = conditions[place];
      const own = rows.filter((row) => row[0] === place).sort((a, b) => a[1] - b[1]);
      parts.push(svg("polyline", { points: own.map((row) => `${x(row[1], place)},${y(row[2])}`).join(" "), fill: "none", stroke: GRAY,
        "stroke-dasharray": condition.untrained ? "2 3" : null }));
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
    for (const { name, at } of names) {
      parts.push(label(box.right, at, name, { "text-anchor": "end", "font-size": 11, stroke: "#FFFFFF", "stroke-width": 3, "paint-order": "stroke" }));
    }
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, tabindex: 0, role: "application",
      "aria-label": `${panel.group}, ${panel.title}, by depth. Arrow keys go from point to point.` }, parts);
    const readout = make("p", { class: "explorer-readout", role: "status" }, ["hover, tap, or use the arrow keys"]);
    let current = -1;
    const show = (index) => {
      if (current >= 0) marks[current].mark.classList.remove("explorer-current");
      current = (index + marks.length) % marks.length;
      marks[current].mark.classList.add("explorer-current");
      readout.textContent = said(conditions, marks[current].row);
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
    const title = `${panel.group}: ${panel.title}`;
    const layer = (row) => conditions[row[0]].layers.find((each) => each.depth === row[1]);
    const table = () => saveTable(title, [["measure", "panel", "model", "layer", "frame period (ms)", "value", "low", "high", "n", "seeds"],
      ...rows.map((row) => [panel.group, panel.title, conditions[row[0]].name, layer(row).name, layer(row).period, ...row.slice(2)])]);
    const key = () => [...new Set(rows.map((row) => row[0]))].map((place) => [point(conditions[place], INK, 4.5), conditions[place].name]);
    const files = make("p", { class: "explorer-files" }, [
      button("CSV", `download ${title} as CSV`, table),
      button("PNG", `download ${title} as a picture`, () => savePicture(title, picture, [...key(),
        ...(beside.length || chance.length ? [[svg("rect", { x: -6, y: -5, width: 12, height: 10, fill: GRAY, "fill-opacity": 0.35 }), "shuffled labels"]] : []),
        [svg("g"), `${data.curves.corpus}; color and size are the frame period`]]))]);
    return make("div", {}, [picture, readout, files]);
  }

  function box(text, checked, change, before = []) {
    const input = make("input", { type: "checkbox" });
    input.checked = checked;
    input.addEventListener("change", () => change(input.checked));
    return make("label", { class: "explorer-check" }, [input, ...before, ` ${text}`]);
  }

  function curvesPart(root, data) {
    const curves = data.curves, groups = [...new Set(curves.panels.map((panel) => panel.group))];
    const place = (name) => curves.conditions.findIndex((each) => each.name === name);
    const hidden = new Set(recalled("hidden")), without = new Set(recalled("without")), less = recalled("less").map(place);
    const state = { conditions: new Set([...curves.conditions.keys()].filter((each) => !hidden.has(curves.conditions[each].name))),
      groups: new Set(groups.filter((name) => !without.has(name))), intervals: !without.has("intervals"), baselines: !without.has("baselines"),
      less: less.length === 2 && !less.includes(-1) && less[0] !== less[1] ? less : null };
    const stage = make("div", { class: "explorer-cards" });
    const note = make("p", {}, ["Differences at the same layer number of both models. They have no intervals here: both models were scored on the same speech, "
      + "so that the interval of a difference does not follow from theirs. Chapters 2 and 3 give paired intervals."]);
    const draw = () => {
      const shown = curves.panels.filter((panel) => state.groups.has(panel.group));
      remember("hidden", curves.conditions.filter((_, each) => !state.conditions.has(each)).map((each) => each.name).join("|"));
      remember("without", [...groups.filter((name) => !state.groups.has(name)), ...(state.intervals ? [] : ["intervals"]),
        ...(state.baselines ? [] : ["baselines"])].join("|"));
      remember("less", state.less ? state.less.map((each) => curves.conditions[each].name).join("|") : "");
      note.hidden = !state.less;
      stage.replaceChildren(...shown.map((panel) => make("div", { class: "explorer-card" },
        [make("p", { class: "explorer-title" }, [`${panel.group}: ${panel.title}`]), panelPicture(data, panel, state)])));
    };
    const toggle = (set, key) => (on) => {
      if (on) set.add(key);
      else set.delete(key);
      draw();
    };
    const names = curves.conditions.map((each) => [each.name, each.name]);
    const known = (which) => (state.less ? curves.conditions[state.less[which]].name : "");
    const [chooseOne, one] = choice("explorer-one", "Show", [["", [["", "scores"], ...names]]], known(0));
    const [chooseOther, other] = choice("explorer-other", "less", [["", [["", "nothing"], ...names]]], known(1));
    for (const select of [one, other]) {
      select.addEventListener("change", () => {
        const pair = [place(one.value), place(other.value)];
        state.less = pair.includes(-1) || pair[0] === pair[1] ? null : pair;
        draw();
      });
    }
    const conditions = curves.conditions.map((condition, place) => {
      const icon = svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true", class: "explorer-icon" },
        [point(condition, INK, 4.5)]);
      return box(condition.name, state.conditions.has(place), toggle(state.conditions, place), [icon]);
    });
    const periods = [...new Set(curves.conditions.flatMap((each) => each.layers.map((layer) => layer.period)))].sort((a, b) => a - b);
    const key = periods.map((period) => make("span", { class: "explorer-check" }, [
      svg("svg", { width: 16, height: 16, viewBox: "-8 -8 16 16", "aria-hidden": "true", class: "explorer-icon" },
        [svg("circle", { r: radius(period), fill: color(data, period) })]), ` ${period} ms`]));
    const field = (title, children) => make("fieldset", {}, [make("legend", {}, [title]), ...children]);
    root.replaceChildren(
      make("div", { class: "explorer-controls" }, [
        field("Models", conditions),
        field("Measures", groups.map((name) => box(name, state.groups.has(name), toggle(state.groups, name)))),
        field("Draw", [
          box("intervals", state.intervals, (on) => { state.intervals = on; draw(); }),
          box("chance and acoustic features", state.baselines, (on) => { state.baselines = on; draw(); }),
        ]),
        field("Difference of two models", [make("div", { class: "explorer-pair" }, [chooseOne, chooseOther])]),
        make("div", { class: "explorer-key" }, ["frame period: ", ...key]),
      ]),
      note,
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
