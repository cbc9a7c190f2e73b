"use strict";

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const read = id => JSON.parse(document.getElementById(id).textContent);

// calls draw once, when the element comes near to what is seen
const whenNear = (element, draw) => {
  const observer = new IntersectionObserver(entries => {
    if (entries.some(entry => entry.isIntersecting)) {
      observer.disconnect();
      draw();
    }
  }, { rootMargin: "600px" });
  observer.observe(element);
};

// ---- light and dark

const theme = document.getElementById("theme");
const remembered = (() => { try { return localStorage.getItem("theme"); } catch { return null; } })();
const dress = () => { document.documentElement.dataset.theme = theme.value; };
if (["light", "dark"].includes(remembered)) theme.value = remembered;
theme.addEventListener("change", () => {
  dress();
  try { localStorage.setItem("theme", theme.value); } catch { /* a page from disk may not be allowed to */ }
});
theme.parentElement.hidden = false;
dress();

// ---- tables: the first press sorts the best upwards, the next one turns round; what is missing stays last

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const turned = { ascending: "descending", descending: "ascending" }[head.getAttribute("aria-sort")];
    const order = turned ?? head.dataset.first, sign = order === "descending" ? -1 : 1;
    heads.forEach(other => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", order);
    const value = row => row.cells[column].dataset.value;
    const compare = (a, b) => column ? Number(value(a)) - Number(value(b)) : value(a).localeCompare(value(b));
    const empty = row => value(row) === "";
    body.append(...[...body.rows].sort((a, b) => empty(a) - empty(b) || sign * compare(a, b)));
  }));
}

// ---- one dot per image

const ticks = (low, high, count = 5) => {
  const raw = (high - low || Math.abs(high) || 1) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5].map(m => m * power).find(s => s >= raw) ?? 10 * power;
  const start = Math.floor(low / step), stop = Math.max(Math.ceil(high / step), start + 1);
  return Array.from({ length: stop - start + 1 }, (_, i) => (start + i) * step);
};
const label = value => String(Number(value.toPrecision(6)));

const scatter = (figure, openScene) => {
  const number = figure.dataset.section, data = read(`values-${number}`);
  const find = role => figure.querySelector(`[data-role=${role}]`);
  const [up, across, whose, field, tip] = ["up", "across", "whose", "field", "tip"].map(find);
  const svg = field.querySelector("svg"), marks = JSON.parse(figure.dataset.marks);
  const names = [...new Set(data.series.map(s => s.restorer))], metrics = [...new Set(data.series.map(s => s.metric))];
  const full = (metric, value) => `${value.toFixed(data.metrics[metric].places)} ${data.metrics[metric].unit}`.trim();
  const draw = (tag, attributes, parent = svg) => {
    const element = document.createElementNS(svg.namespaceURI, tag);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    parent.append(element);
    return element;
  };

  const points = () => {
    const of = (restorer, metric) => data.series.find(s => s.restorer === restorer && s.metric === metric);
    return names.flatMap(restorer => {
      const y = of(restorer, up.value), x = of(whose.value || restorer, across.value);
      if (!x || !y || x === y) return [];
      return data.images.map((image, i) => ({ image, restorer, mark: y.mark, x: x.values[i], y: y.values[i] }));
    }).filter(p => p.x !== null && p.y !== null).sort((a, b) => a.x - b.x);
  };

  const axes = (found, width, height) => {
    const room = { left: 52, right: 12, top: 24, bottom: 44 };
    const even = up.value === across.value;
    const range = key => found.map(p => p[key]);
    const [xs, ys] = even
      ? [[...range("x"), ...range("y")], [...range("x"), ...range("y")]] : [range("x"), range("y")];
    const lines = [xs, ys].map(v => ticks(Math.min(...v), Math.max(...v), width < 420 ? 4 : 6));
    const part = (value, all) => (value - all[0]) / (all.at(-1) - all[0]);
    const px = value => room.left + part(value, lines[0]) * (width - room.left - room.right);
    const py = value => height - room.bottom - part(value, lines[1]) * (height - room.top - room.bottom);
    const [bottom, right] = [height - room.bottom, width - room.right];
    for (const tick of lines[0]) {
      draw("line", { x1: px(tick), x2: px(tick), y1: room.top, y2: bottom });
      draw("text", { x: px(tick), y: bottom + 16, "text-anchor": "middle" }).textContent = label(tick);
    }
    for (const tick of lines[1]) {
      draw("line", { x1: room.left, x2: right, y1: py(tick), y2: py(tick) });
      draw("text", { x: room.left - 6, y: py(tick) + 4, "text-anchor": "end" }).textContent = label(tick);
    }
    if (even) draw("line", { class: "even", x1: px(lines[0][0]), y1: py(lines[0][0]), x2: px(lines[0].at(-1)), y2: py(lines[0].at(-1)) });
    const named = metric => data.metrics[metric].unit ? `${metric}, ${data.metrics[metric].unit}` : metric;
    draw("text", { x: right, y: height - 8, "text-anchor": "end" }).textContent = `${named(across.value)}${whose.value ? ` of ${whose.value}` : ""} →`;
    draw("text", { x: 0, y: 12 }).textContent = `↑ ${named(up.value)}`;
    return [px, py];
  };

  const words = p => {
    const given = whose.value ? `${whose.value} ${across.value}` : across.value;
    return `${p.image}, ${p.restorer}: ${up.value} ${full(up.value, p.y)}, ${given} ${full(across.value, p.x)}`;
  };
  const show = (text, x, y, width) => {
    tip.textContent = text;
    tip.hidden = false;
    tip.style.left = `${clamp(x + 12, 0, Math.max(0, width - tip.offsetWidth))}px`;
    tip.style.top = `${y + 14}px`;
  };

  const redraw = () => {
    const found = points(), width = Math.max(240, field.clientWidth), height = Math.min(460, Math.round(width * .8));
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.replaceChildren();
    tip.hidden = true;
    find("even").hidden = up.value !== across.value;
    if (!found.length) {
      draw("text", { x: 8, y: 30 }).textContent = "No image has both values.";
      return;
    }
    const [px, py] = axes(found, width, height);
    found.forEach((p, i) => {
      const known = p.image in data.scenes, text = words(p), [x, y] = [px(p.x), py(p.y)];
      const point = draw("g", {
        class: `point r${p.mark % 6}`, role: known ? "button" : "img", tabindex: i ? -1 : 0,
        transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`, "aria-label": known ? `${text}; opens its pictures` : text,
      });
      draw("circle", { r: 10 }, point);
      draw("path", { d: marks[(p.mark + Math.floor(p.mark / 6)) % 6] }, point);
      for (const event of ["pointerenter", "focus"]) point.addEventListener(event, () => show(text, x, y, width));
      for (const event of ["pointerleave", "blur"]) point.addEventListener(event, () => { tip.hidden = true; });
      if (known) point.addEventListener("click", () => openScene(data.scenes[p.image], p.restorer));
    });
  };

  svg.addEventListener("keydown", event => {
    const all = [...svg.querySelectorAll(".point")], at = all.indexOf(event.target);
    const steps = { ArrowRight: at + 1, ArrowUp: at + 1, ArrowLeft: at - 1, ArrowDown: at - 1, Home: 0, End: all.length - 1 };
    if (at < 0 || !(event.key in steps || event.key === "Enter" || event.key === " ")) return;
    event.preventDefault();
    if (!(event.key in steps)) {
      event.target.dispatchEvent(new MouseEvent("click"));
      return;
    }
    const next = all[clamp(steps[event.key], 0, all.length - 1)];
    event.target.setAttribute("tabindex", -1);
    next.setAttribute("tabindex", 0);
    next.focus();
  });

  up.append(...metrics.map(m => new Option(m, m)));
  across.append(...metrics.map(m => new Option(m, m)));
  whose.append(...(metrics.length > 1 ? [new Option("the same restorer", "")] : []), ...names.map(n => new Option(n, n)));
  if (names.length > 1) whose.value = figure.dataset.baseline || names[0];
  else { whose.value = ""; across.value = metrics[1]; }
  [up, across, whose].forEach(select => select.addEventListener("change", redraw));
  find("controls").hidden = false;
  let drawn = 0;
  new ResizeObserver(() => {
    if (field.clientWidth !== drawn) { drawn = field.clientWidth; redraw(); }
  }).observe(field);
};

// ---- pictures: two under a slider, all of them below, one zoom and one place for all

const panAndZoom = (viewer, stage, bar) => {
  const state = { zoom: 1, x: 0, y: 0 }, held = new Map(), output = viewer.querySelector("output");
  let divides = false;
  const apply = () => {
    state.zoom = clamp(state.zoom, 1, 16);
    state.x = clamp(state.x, 1 - state.zoom, 0);
    state.y = clamp(state.y, 1 - state.zoom, 0);
    for (const key of ["zoom", "x", "y"]) viewer.style.setProperty(`--${key}`, state[key]);
    viewer.classList.toggle("zoomed", state.zoom > 1);
    viewer.classList.toggle("close", state.zoom >= 2);
    output.textContent = `${Number(state.zoom.toFixed(1))}×`;
  };
  const zoomTo = (zoom, x = .5, y = .5) => {
    const to = clamp(zoom, 1, 16), ratio = to / state.zoom;
    Object.assign(state, { zoom: to, x: x - (x - state.x) * ratio, y: y - (y - state.y) * ratio });
    apply();
  };
  const move = (x, y) => { state.x += x; state.y += y; apply(); };
  const lookAt = (x, y, wide, high) => {
    state.zoom = clamp(.6 / Math.max(wide, high), 1, 16);
    state.x = .5 - (x + wide / 2) * state.zoom;
    state.y = .5 - (y + high / 2) * state.zoom;
    apply();
  };

  const inside = (event, pane) => {
    const box = pane.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height, box];
  };
  const pane = event => event.target.closest(".pane");
  viewer.addEventListener("pointerdown", event => {
    if (!pane(event) || event.button) return;
    const [x, , box] = inside(event, pane(event));
    if (!held.size) {
      divides = pane(event) === stage && (state.zoom === 1 || Math.abs(x - bar.cut()) * box.width < 24);
      if (divides) bar.put(x);
    }
    held.set(event.pointerId, [event.clientX, event.clientY]);
    pane(event).setPointerCapture(event.pointerId);
  });
  viewer.addEventListener("pointermove", event => {
    const before = held.get(event.pointerId);
    if (!before || !pane(event)) return;
    const [x, y, box] = inside(event, pane(event));
    const other = [...held].find(([id]) => id !== event.pointerId)?.[1];
    held.set(event.pointerId, [event.clientX, event.clientY]);
    if (other) {
      const apart = ([a, b]) => Math.hypot(a - other[0], b - other[1]) || 1;
      zoomTo(state.zoom * apart([event.clientX, event.clientY]) / apart(before), x, y);
    } else if (divides) bar.put(x);
    else move((event.clientX - before[0]) / box.width, (event.clientY - before[1]) / box.height);
  });
  for (const end of ["pointerup", "pointercancel"]) viewer.addEventListener(end, event => held.delete(event.pointerId));
  viewer.addEventListener("dblclick", event => {
    if (pane(event)) zoomTo(state.zoom < 16 ? state.zoom * 2 : 1, ...inside(event, pane(event)));
  });
  viewer.addEventListener("wheel", event => {
    if (!pane(event) || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    zoomTo(state.zoom * 2 ** clamp(-event.deltaY / 200, -1, 1), ...inside(event, pane(event)));
  }, { passive: false });
  stage.addEventListener("keydown", event => {
    const keys = {
      "+": () => zoomTo(state.zoom * 1.5), "=": () => zoomTo(state.zoom * 1.5), "-": () => zoomTo(state.zoom / 1.5), "0": () => zoomTo(1),
      ArrowLeft: () => move(.1, 0), ArrowRight: () => move(-.1, 0), ArrowUp: () => move(0, .1), ArrowDown: () => move(0, -.1),
    };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  for (const button of viewer.querySelectorAll("[data-zoom]")) {
    const factor = { in: 1.5, out: 1 / 1.5, whole: 0 }[button.dataset.zoom];
    button.addEventListener("click", () => zoomTo(state.zoom * factor));
  }
  apply();
  return { lookAt, whole: () => zoomTo(1) };
};

const gallery = viewer => {
  const number = viewer.dataset.section, count = Number(viewer.dataset.count);
  const order = viewer.dataset.order.split(" ").map(Number);
  const find = role => viewer.querySelector(`[data-role=${role}]`);
  const [scene, left, right, errors, tiles] = ["scene", "left", "right", "errors", "tiles"].map(find);
  const stage = viewer.querySelector(".stage"), slider = find("divide");
  const bar = {
    cut: () => slider.value / 100,
    put: share => { slider.value = 100 * clamp(share, 0, 1); slide(); },
  };
  const slide = () => stage.style.setProperty("--cut", `${slider.value}%`);
  const place = panAndZoom(viewer, stage, bar);
  const known = new Map();
  const at = i => {
    if (!known.has(i)) known.set(i, read(`scene-${number}-${i}`));
    return known.get(i);
  };
  const current = () => at(Number(scene.value));
  const put = (image, version) => {
    const wrong = errors.checked && version.errors;
    image.src = wrong || version.view;
    image.alt = `${current().name}, ${version.label}${wrong ? ", error map" : ""}`;
    image.classList.toggle("small", version.label === "degraded" && !wrong);
  };

  const show = () => {
    const versions = current().versions;
    [["left", left, ".under img"], ["right", right, ".over img"]].forEach(([side, select, image]) => {
      put(stage.querySelector(image), versions[select.value]);
      stage.querySelector(`.tag.${side}`).textContent = versions[select.value].label;
    });
    [...tiles.children].forEach((tile, i) => {
      put(tile.querySelector("img"), versions[i]);
      tile.classList.toggle("chosen", i === Number(right.value));
      tile.querySelector("button").setAttribute("aria-pressed", String(i === Number(right.value)));
    });
    find("scale").hidden = !errors.checked;
    find("peak").textContent = `${current().peak} levels of 8 bits and more`;
  };

  const choose = (select, versions, wanted, fallback) => {
    const found = versions.findIndex(version => version.label === wanted);
    select.replaceChildren(...versions.map((version, i) => new Option(version.label, i)));
    select.value = found < 0 ? fallback : found;
  };

  const crops = ({ crops: windows, versions, name }) => windows.flatMap((part, i) => {
    const where = `Rows ${part.top} to ${part.top + part.height}, columns ${part.left} to ${part.left + part.width}`;
    const look = make("button", { type: "button", className: "button", textContent: `Show part ${i + 1} above` });
    look.addEventListener("click", () => {
      place.lookAt(part.x, part.y, part.wide, part.high);
      stage.scrollIntoView({ block: "nearest" });
    });
    const shown = versions.map(version => make("figure", {}, make("img", {
      src: version.crops[i], alt: `${name}, ${version.label}, part ${i + 1}`, decoding: "async",
    }), make("figcaption", { textContent: version.label })));
    return [
      make("p", { className: "soft" }, `${i + 1}. ${where} `, look),
      make("div", { className: "crops" }, ...shown),
    ];
  });

  const tile = (version, i) => {
    const button = make("button", { type: "button" }, version.label, make("small"));
    button.addEventListener("click", () => { right.value = i; show(); });
    const picture = make("img", { decoding: "sync", draggable: false });
    return make("figure", { className: "tile" }, make("div", { className: "pane" }, picture), make("figcaption", {}, button));
  };

  const film = clip(viewer, at, i => { scene.value = i; fill(); });
  let before = {};
  const fill = () => {
    const now = current(), { versions, width, height, metric } = now, alone = versions.length === 1;
    const labels = [left, right].map(select => select.selectedOptions[0]?.text);
    const usual = versions.findIndex(version => version.label === viewer.dataset.right);
    choose(left, versions, labels[0], versions.length > 3 ? 1 : 0);
    choose(right, versions, labels[1], usual > 0 ? usual : versions.length - 1);
    viewer.style.setProperty("--shape", `${width} / ${height}`);
    for (const part of [stage, find("divider")]) part.style.maxWidth = `min(${Math.max(width, 480)}px, ${Math.round(72 * width / height)}vh)`;
    const names = versions.map(version => version.label).join("\n");
    if (names !== before.names) tiles.replaceChildren(...versions.map(tile));
    tiles.style.setProperty("--columns", Math.max(3, versions.length < 7 ? versions.length : 5));
    [...tiles.children].forEach((one, i) => {
      one.querySelector("small").textContent = versions[i].score ? `${metric} ${versions[i].score}` : "\u00a0";
    });
    if (!film.playing()) find("crops").replaceChildren(...crops(now));
    find("previous").disabled = Number(scene.value) === 0;
    find("next").disabled = Number(scene.value) === count - 1;
    find("most").disabled = count === 1;
    find("wrong").hidden = !versions.some(version => version.errors);
    find("divider").hidden = stage.querySelector(".bar").hidden = stage.querySelector(".tag.right").hidden = alone;
    if (!now.clip || now.clip !== before.clip) place.whole();
    film.shown(Number(scene.value));
    before = { names, clip: now.clip };
    show();
  };

  const step = by => { scene.value = clamp(Number(scene.value) + by, 0, count - 1); fill(); };
  find("previous").addEventListener("click", () => step(-1));
  find("next").addEventListener("click", () => step(1));
  let turn = 0;
  find("most").addEventListener("click", () => {
    scene.value = order[turn++ % count];
    fill();
  });
  scene.addEventListener("change", fill);
  [left, right, errors].forEach(control => control.addEventListener("change", show));
  slider.addEventListener("input", slide);
  stage.addEventListener("keydown", event => {
    const chosen = right.options[Number(event.key) - 1];
    if (!chosen || event.ctrlKey || event.metaKey || event.altKey) return;
    right.value = chosen.value;
    show();
  });
  viewer.hidden = false;
  let filled = false;
  const first = () => { if (!filled) { filled = true; fill(); } };
  whenNear(viewer, first);
  return (index, restorer) => {
    first();
    scene.value = index;
    fill();
    const found = current().versions.findIndex(version => version.label === restorer);
    if (found >= 0) { right.value = found; show(); }
    viewer.scrollIntoView({ block: "start" });
    stage.focus({ preventScroll: true });
  };
};

// the frames of a clip: a slider over them, and one row of pixels over time
const clip = (viewer, at, go) => {
  const find = role => viewer.querySelector(`[data-role=${role}]`);
  const [play, frame, time] = ["play", "frame", "time"].map(find);
  if (!frame) return { shown: () => {}, playing: () => false };
  const clips = JSON.parse(viewer.dataset.clips);
  let frames = [], now = 0, timer = 0, drawn = null;
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    play.textContent = "Play";
    go(now);
  };
  play.addEventListener("click", () => {
    if (timer) return stop();
    timer = setInterval(() => go(frames[(frames.indexOf(now) + 1) % frames.length]), 125);
    play.textContent = "Stop";
  });
  frame.addEventListener("input", () => go(frames[Number(frame.value)]));
  const profile = name => {
    const box = find("profile"), all = box && read(`profiles-${viewer.dataset.section}`);
    if (!box) return;
    box.hidden = !all[name];
    if (!all[name]) return;
    find("row").textContent = all[name].row;
    find("profiles").style.setProperty("--tall", `${clamp(3 * all[name].frames, 72, 400)}px`);
    find("profiles").replaceChildren(...all[name].versions.map(version => make("figure", {}, make("img", {
      src: version.view, alt: `Row ${all[name].row} over time, ${version.label}`, decoding: "async",
    }), make("figcaption", { textContent: version.label }))));
  };
  const shown = i => {
    const { clip: name, name: file } = at(i);
    now = i;
    if (name !== drawn) {
      frames = clips[name];
      frame.max = frames.length - 1;
      drawn = name;
      profile(name);
    }
    frame.value = frames.indexOf(i);
    frame.setAttribute("aria-valuetext", file);
    time.textContent = `frame ${frames.indexOf(i) + 1} of ${frames.length}`;
  };
  return { shown, playing: () => timer !== 0 };
};

// ---- copying

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy), said = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(source.textContent);
      said.textContent = "Copied.";
    } catch {
      getSelection().selectAllChildren(source);
      said.textContent = "The command is selected: press Ctrl+C or ⌘C.";
    }
  });
}

// the pictures' data stands after this script, so that the page is seen before it is read to its end
document.addEventListener("DOMContentLoaded", () => {
  const open = new Map([...document.querySelectorAll(".viewer")].map(viewer => [viewer.dataset.section, gallery(viewer)]));
  for (const figure of document.querySelectorAll(".scatter")) {
    whenNear(figure, () => scatter(figure, (index, restorer) => open.get(figure.dataset.section)?.(index, restorer)));
  }
});
