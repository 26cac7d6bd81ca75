// The lab: a form, six pictures and a table, kept in step with one state.
"use strict";

{
const START = {
  image: 3, model: "natural", attack: "fgsm", eps: 8, steps: 10, stepSize: 2, map: "everywhere",
};
const LEVELS = [[0, "0"], [0.5, "ε/2"], [1, "ε"], [2, "2 ε"]];
const QUARTERS = ["upper left", "upper right", "lower right", "lower left"];
const TIMES = 8; // how far the perturbation is enlarged: 16/255 just fits

const share = (part) => part.reduce((sum, value) => sum + value, 0) / part.length;
const values = ({ bytes }) => Float32Array.from(lab.decode(bytes), (value) => value / 255);

// Build a lab in an element; returns a function that sets it up anew.
lab.mount = (root, settings) => {
  const { names, labels } = lab.data;
  const [images, masks] = [values(lab.data.pixels), values(lab.data.masks)];
  const cells = lab.SIDE ** 2;
  const pixels = () => images.subarray(3 * cells * state.image, 3 * cells * (state.image + 1));
  const mask = () => masks.subarray(cells * state.image, cells * (state.image + 1));
  const state = { level: 0, size: 5, row: 16, column: 16 };
  let weights = lab.maps.everywhere();
  let map; // the loaded map, until the reader paints
  let clean = {}; // the network's look at the image itself
  let run = 0;

  // Budget maps: name, weights, and the settings that they depend on.
  const maps = {
    everywhere: ["ε everywhere", () => lab.maps.everywhere()],
    quarter: ["Forbid a quarter", () => lab.maps.quarter(state.quarter)],
    cam: ["Important (CAM)", () => lab.maps.mask(clean.important, 1, 0), "image", "model"],
    part: ["PART: 7/8 elsewhere", () => lab.maps.mask(clean.important, 1, 7 / 8), "image", "model"],
    digit: ["The digit", () => lab.maps.mask(mask().map((m) => +(m > 0.5)), 1, 0), "image"],
    invert: ["Invert"],
  };
  const looked = () => clean.image === state.image && clean.model === state.model;
  const depends = (key) => maps[map.name]?.slice(2).includes(key);
  const fill = () => {
    map.due = depends("model") && !looked(); // then `compute` fills it
    if (map.due) return;
    weights = maps[map.name][1]();
    if (map.inverted) weights = lab.maps.invert(weights);
  };
  const load = (name) => {
    if (name === "quarter") state.quarter = (state.quarter + 1) % 4;
    if (name !== "invert") map = { name };
    else map.inverted = !map.inverted;
    if (map.name === "painted") weights = lab.maps.invert(weights);
    else fill();
  };
  const titleOfMap = () => {
    const title = maps[map.name]?.[0] ?? map.name;
    const which = map.name === "quarter" ? `: ${QUARTERS[state.quarter]}` : "";
    const wait = map.due ? ", waiting for the network" : "";
    return `Budget map: ${title}${which}${map.inverted ? ", inverted" : ""}${wait}`;
  };

  // The parts
  const to = (key) => (value) => {
    state[key] = value;
    if (depends(key)) fill();
    update();
  };
  const thumbs = labels.map((label, i) => {
    const canvas = lab.element("canvas", { aria: { "aria-hidden": "true" } });
    lab.drawImage(canvas, images.subarray(3 * cells * i, 3 * cells * (i + 1)));
    return [i, canvas, `a ${names[label]}`];
  });
  const attacks = [["fgsm", "FGSM"], ["pgd", "PGD"]];
  const halves = { min: 0.5, max: 8, step: 0.5 };
  const form = {
    image: lab.choice("Picture", thumbs, "lab-thumbs", to("image")),
    model: lab.choice("Network", Object.entries(lab.MODELS), "lab-choice", to("model")),
    attack: lab.choice("Attack", attacks, "lab-choice", to("attack")),
    eps: lab.slider("ε", { min: 0, max: 16, step: 1 }, lab.over255, to("eps")),
    steps: lab.slider("Steps", { min: 1, max: 40, step: 1 }, String, to("steps")),
    stepSize: lab.slider("Step size", halves, lab.over255, to("stepSize")),
    level: lab.choice("Brush paints", LEVELS, "lab-choice", to("level")),
    size: lab.slider("Brush", { min: 1, max: 11, step: 2 }, (v) => `${v} × ${v}`, to("size")),
  };
  const figures = {
    image: lab.figure("Image"),
    change: lab.figure(`Perturbation × ${TIMES}`),
    adversarial: lab.figure("Adversarial image"),
    budget: lab.figure("Budget: paint here", { role: "application", tabindex: 0 }),
    before: lab.figure("CAM, image"),
    after: lab.figure("CAM, adversarial"),
  };
  const status = (className) => lab.element("p", { className, aria: { role: "status" } });
  const [verdict, place] = [status("lab-verdict"), status("lab-place")];
  const spent = lab.element("p", { className: "lab-spent" });
  const table = lab.classes(names);
  const { canvas } = figures.budget;

  // Drawing
  const titleOfCell = () => {
    const budget = weights[state.row * lab.SIDE + state.column] * state.eps;
    return `Row ${state.row + 1}, column ${state.column + 1}: budget ${lab.over255(budget)}`;
  };
  const drawBudget = () => {
    lab.drawMap(canvas, pixels(), weights.map((weight) => weight / 2));
    const brushing = document.activeElement === canvas;
    if (brushing) lab.drawBrush(canvas, lab.brush(state.row, state.column, state.size));
    lab.say(place, brushing ? titleOfCell() : titleOfMap());
    const mean = lab.over255(share(weights) * state.eps);
    const open = weights.filter((w) => w > 0).length; // few pixels are less than a percent
    const text = `mean ${mean}, ${lab.percent(1 - open / cells)} forbidden, ${open} pixel${open === 1 ? "" : "s"} open`;
    const colours = `violet 0, yellow ${lab.over255(2 * state.eps)}`; // a weight is at most 2
    const keys = "Arrow keys move the brush, with Shift by four cells; space paints.";
    figures.budget.show(`${text}; ${colours}`, `Budget map, 32 by 32 cells: ${text}. ${keys}`);
  };
  const drawRest = (after) => {
    const label = labels[state.image];
    const largest = pixels().reduce((high, v, i) => Math.max(high, Math.abs(after.pixels[i] - v)), 0);
    const cut = TIMES * largest > 0.51; // 16/255 just fits
    lab.drawImage(figures.image.canvas, pixels());
    figures.image.show(clean.text);
    lab.drawChange(figures.change.canvas, pixels(), after.pixels, TIMES);
    figures.change.show(cut ? "grey: no change; cut off" : "grey: no change");
    lab.drawImage(figures.adversarial.canvas, after.pixels);
    figures.adversarial.show(after.text);
    for (const [figure, seen] of [[figures.before, clean], [figures.after, after]]) {
      lab.drawMap(figure.canvas, seen.pixels, seen.heat, seen.important);
      figure.show(`outlined: ${lab.percent(share(seen.important))} important`);
    }
    table.node.hidden = false;
    table.show(1, clean, label);
    table.show(2, after, label);
    const [was, is] = [clean, after].map(({ odds }) => lab.percent(odds[label]));
    const fooled = after.best !== label;
    verdict.classList.toggle("lab-fooled", fooled);
    const said = fooled
      ? `Fooled: ${lab.MODELS[state.model]} read ${clean.text} and now reads ${after.text}.`
      : `Holds: ${lab.MODELS[state.model]} still reads ${names[label]}, ${was} before and ${is} after.`;
    const zero = Math.max(...weights) * state.eps ? "" : " The budget is 0, nothing may change.";
    lab.say(verdict, said + zero);
  };

  const drawNothing = () => {
    const { image, change, adversarial, before, after } = figures;
    for (const figure of [image, change, adversarial, before, after]) figure.clear();
    table.node.hidden = true;
    spent.textContent = "";
    verdict.classList.remove("lab-fooled");
  };

  // Computing: a newer run ends an older one, whose result or failure nobody waits for.
  const compute = async (ticket) => {
    const net = await lab.network(state.model);
    if (ticket !== run) return;
    const x = tf.tensor(pixels(), [1, lab.SIDE, lab.SIDE, 3]);
    try {
      const { image, model } = state;
      if (!looked()) clean = { ...lab.look(net, x), image, model };
      if (map.due) fill();
      drawBudget();
      const start = performance.now();
      let rested = start;
      const pause = async () => {
        if (performance.now() - rested < 30) return true;
        await new Promise((resolve) => setTimeout(resolve)); // the page gets its turn
        rested = performance.now();
        return ticket === run;
      };
      const adversarial = await lab.attack(net, x, [labels[image]], weights, state, pause);
      if (!adversarial) return;
      drawRest(lab.look(net, adversarial));
      adversarial.dispose();
      const time = Math.max(1, Math.round(performance.now() - start));
      spent.textContent = `Computed in this page in ${time} ms.`;
      root.setAttribute("aria-busy", "false");
    } finally {
      x.dispose();
    }
  };
  const stop = (error) => {
    console.error(error);
    drawNothing();
    lab.say(verdict, `The lab stopped: ${error.message}. Any change tries again.`);
    root.setAttribute("aria-busy", "false");
  };
  const update = () => {
    const ticket = ++run;
    root.setAttribute("aria-busy", "true");
    for (const [key, part] of Object.entries(form)) part.set(state[key]);
    form.steps.enable(state.attack === "pgd");
    form.stepSize.enable(state.attack === "pgd");
    drawBudget();
    // A moment later, so that the moves of one moment are one run.
    setTimeout(() => {
      if (ticket === run) compute(ticket).catch((error) => ticket === run && stop(error));
    });
  };

  const painted = () => {
    map = { name: "painted" };
    update();
  };
  lab.useBrush(canvas, state, () => weights, painted, drawBudget);
  const setUp = (settings) => {
    const { map: name, ...rest } = { ...START, quarter: -1, ...settings };
    Object.assign(state, rest);
    load(name);
    update();
  };

  const press = (name) => () => {
    load(name);
    update();
  };
  const buttons = Object.entries(maps).map(([name, [text]]) =>
    lab.element("button", { type: "button", data: { map: name }, onclick: press(name) }, text),
  );
  const row = (...nodes) => lab.element("div", { className: "lab-row" }, ...nodes);
  root.replaceChildren(
    form.image.node,
    row(form.model.node, form.attack.node),
    row(form.eps.node, form.steps.node, form.stepSize.node),
    verdict,
    lab.element("div", { className: "lab-figures" }, ...Object.values(figures).map((f) => f.node)),
    row(form.level.node, form.size.node),
    lab.element("div", { className: "lab-maps", aria: { role: "group", "aria-label": "Budget maps" } }, ...buttons),
    place,
    table.node,
    spent,
  );
  setUp(settings);
  return setUp;
};
}
