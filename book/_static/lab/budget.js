// Budget maps: weights w at 32 x 32 pixels; the attack may change a pixel by at most w times eps.
"use strict";

lab.SIDE = 32;

lab.mapOf = (weight) => Float32Array.from({ length: lab.SIDE ** 2 }, (_, i) =>
  weight(Math.floor(i / lab.SIDE), i % lab.SIDE, i),
);

lab.maps = {
  everywhere: () => lab.mapOf(() => 1),
  // Forbid one quarter: 0 is the upper left one, then clockwise.
  quarter: (which) => {
    const [low, right] = [which === 2 || which === 3, which === 1 || which === 2];
    const half = lab.SIDE / 2;
    return lab.mapOf((row, column) => +((row >= half) !== low || (column >= half) !== right));
  },
  // `inside` where a mask in [0, 1] holds, `outside` elsewhere, as budgets.from_mask.
  mask: (mask, inside, outside) =>
    lab.mapOf((row, column, i) => outside + mask[i] * (inside - outside)),
  invert: (weights) => weights.map((weight) => Math.max(0, 1 - weight)),
};

// The cells under a square brush of an odd size.
lab.brush = (row, column, size) => {
  const reach = (size - 1) / 2;
  const [top, left] = [Math.max(0, row - reach), Math.max(0, column - reach)];
  const [bottom, right] = [row + reach, column + reach].map((v) => Math.min(lab.SIDE - 1, v));
  return { top, left, bottom, right };
};

lab.paint = (weights, row, column, size, value) => {
  const { top, left, bottom, right } = lab.brush(row, column, size);
  for (let r = top; r <= bottom; r++) weights.fill(value, r * lab.SIDE + left, r * lab.SIDE + right + 1);
};
