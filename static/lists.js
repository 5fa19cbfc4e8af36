"use strict";
// On a narrow screen the rows come first: filters that nobody uses are folded away.
if (matchMedia("(max-width: 47.99rem)").matches) {
  const filters = document.querySelector(".list-filters:not([data-used])");
  if (filters) filters.open = false;
}
