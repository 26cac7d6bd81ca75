// Pictures on canvases: images, perturbations, and maps laid over an image.
"use strict";

lab.CELL = 10; // canvas pixels a cell of a map, so that lines are thinner than cells

lab.drawColours = (canvas, colour) => {
  canvas.width = canvas.height = lab.SIDE;
  const picture = new ImageData(lab.SIDE, lab.SIDE);
  for (let i = 0; i < lab.SIDE ** 2; i++) picture.data.set([...colour(i), 255], 4 * i);
  canvas.getContext("2d").putImageData(picture, 0, 0);
};

lab.drawImage = (canvas, pixels) =>
  lab.drawColours(canvas, (i) => [0, 1, 2].map((c) => 255 * pixels[3 * i + c]));

// Grey is no change; what does not fit into [0, 1] is cut off.
lab.drawChange = (canvas, before, after, k) =>
  lab.drawColours(canvas, (i) =>
    [3 * i, 3 * i + 1, 3 * i + 2].map((at) => 255 * (0.5 + k * (after[at] - before[at]))),
  );

// A map in [0, 1] in viridis over the image in grey, half and half; `inside` is outlined.
lab.drawMap = (canvas, pixels, values, inside) => {
  canvas.width = canvas.height = lab.SIDE * lab.CELL;
  const context = canvas.getContext("2d");
  const each = (draw) => {
    for (let i = 0; i < lab.SIDE ** 2; i++) draw(Math.floor(i / lab.SIDE), i % lab.SIDE, i);
  };
  each((row, column, i) => {
    const [r, g, b] = pixels.subarray(3 * i, 3 * i + 3);
    const grey = 255 * (0.299 * r + 0.587 * g + 0.114 * b);
    const at = 3 * Math.round(255 * Math.min(1, values[i]));
    const colour = [0, 1, 2].map((c) => Math.round((lab.viridis[at + c] + grey) / 2));
    context.fillStyle = `rgb(${colour})`;
    context.fillRect(column * lab.CELL, row * lab.CELL, lab.CELL, lab.CELL);
  });
  if (!inside) return;
  context.fillStyle = "#fff";
  each((row, column, i) => {
    const [x, y] = [column * lab.CELL, row * lab.CELL];
    if (column && inside[i] !== inside[i - 1]) context.fillRect(x - 1, y - 1, 2, lab.CELL + 2);
    if (row && inside[i] !== inside[i - lab.SIDE]) context.fillRect(x - 1, y - 1, lab.CELL + 2, 2);
  });
};

lab.drawBrush = (canvas, { top, left, bottom, right }) => {
  const context = canvas.getContext("2d");
  for (const [colour, width] of [["#000", 6], ["#fff", 2]]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    const [x, y] = [left * lab.CELL, top * lab.CELL];
    context.strokeRect(x, y, (right - left + 1) * lab.CELL, (bottom - top + 1) * lab.CELL);
  }
};
