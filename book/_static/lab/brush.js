// The brush: a pointer or the keyboard moves it over a canvas of 32 x 32 cells.
"use strict";

// `state` holds row, column, size and level; `weights` gives the map. After a stroke `painted` runs,
// after a move without paint `moved`.
lab.useBrush = (canvas, state, weights, painted, moved) => {
  const inside = (v) => Math.min(lab.SIDE - 1, Math.max(0, v));
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    const row = Math.floor(((event.clientY - box.top) / box.height) * lab.SIDE);
    const column = Math.floor(((event.clientX - box.left) / box.width) * lab.SIDE);
    return [inside(row), inside(column)];
  };
  const dab = () => lab.paint(weights(), state.row, state.column, state.size, state.level);
  // From the last cell to this one: a fast pointer skips cells.
  const stroke = ([row, column]) => {
    const [fromRow, fromColumn] = [state.row, state.column];
    const far = Math.max(Math.abs(row - fromRow), Math.abs(column - fromColumn), 1);
    for (let i = 1; i <= far; i++) {
      state.row = Math.round(fromRow + ((row - fromRow) * i) / far);
      state.column = Math.round(fromColumn + ((column - fromColumn) * i) / far);
      dab();
    }
    painted();
  };

  canvas.onpointerdown = (event) => {
    if (!event.isPrimary || event.button || event.ctrlKey) return; // Ctrl: a Mac's right button
    canvas.setPointerCapture(event.pointerId);
    [state.row, state.column] = point(event);
    dab();
    painted();
  };
  canvas.onpointermove = (event) => {
    if (event.buttons & 1 && canvas.hasPointerCapture(event.pointerId)) stroke(point(event));
  };

  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  let down = false; // while the space bar is down, moving paints
  canvas.onkeydown = (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return; // the browser's own, such as Back
    if (event.key === " ") {
      down = true;
      dab();
      painted();
    } else if (moves[event.key]) {
      const [rows, columns] = moves[event.key].map((d) => d * (event.shiftKey ? 4 : 1));
      const to = [inside(state.row + rows), inside(state.column + columns)];
      if (down) stroke(to);
      else {
        [state.row, state.column] = to;
        moved();
      }
    } else return;
    event.preventDefault();
  };
  canvas.onkeyup = (event) => (down &&= event.key !== " ");
  canvas.onblur = () => {
    down = false;
    moved();
  };
  canvas.onfocus = moved;
};
