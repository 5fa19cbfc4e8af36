/* What Django's widgets lack: a sign with a name is an image to those who hear the page. */
addEventListener("load", () => setTimeout(() => {
  for (const sign of document.querySelectorAll(".search-label-icon")) sign.setAttribute("role", "img");
}));
