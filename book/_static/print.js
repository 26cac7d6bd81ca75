// Prints a page in the light theme: paper is white, and the dark one's letters are pale.
"use strict";

{
const root = document.documentElement.dataset;
let chosen;

addEventListener("beforeprint", () => {
  chosen = root.theme;
  root.theme = "light";
});
addEventListener("afterprint", () => {
  root.theme = chosen;
});
}
