"use strict";
// The drawer of pages, which a narrow window has, opens and shuts by the keyboard as it does by a click.
(() => {
  const narrow = matchMedia("(max-width: 76.234375em)"), drawer = document.getElementById("__drawer");
  const button = document.querySelector(".md-header label[for=__drawer]"), side = document.querySelector(".md-sidebar--primary");
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  document.querySelector(".md-search__scrollwrap")?.setAttribute("tabindex", "-1"); // arrows go through what was found, and Tab leaves it
  if (!drawer || !button || !side) return;

  const within = toggle => toggle === drawer ? side : toggle.parentElement.querySelector(":scope > .md-nav");
  const opener = toggle => toggle === drawer ? button : side.querySelector(`.md-nav__link[for="${toggle.id}"]`);

  function name(label) {
    if (label === button) return "Pages";
    const words = (label.textContent.trim() || label.previousElementSibling?.textContent.trim() || "").replace(/\s+/g, " ");
    if (label.matches(".md-nav__title")) return `Back from ${words}`;
    return label.htmlFor === "__toc" ? `On this page, ${words}` : `Pages of ${words}`;
  }

  function turn(toggle) {
    toggle.click();
    const parts = [...within(toggle).querySelectorAll("a, label")];
    const next = toggle.checked ? parts.find(part => part.tabIndex >= 0 && part.checkVisibility({ visibilityProperty: true })) : opener(toggle);
    next?.focus({ preventScroll: true }); // it still slides in
  }

  const labels = [button, ...side.querySelectorAll("label:is([for^=__nav], [for=__toc])")];
  for (const label of labels) {
    const toggle = document.getElementById(label.htmlFor);
    const say = () => label.setAttribute("aria-expanded", toggle.checked);
    label.setAttribute("role", "button");
    label.setAttribute("aria-label", name(label));
    toggle.addEventListener("change", say);
    say();
    label.addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation(); // the theme clicks on Enter
      turn(toggle);
    });
  }
  const reach = () => labels.forEach(label => { label.tabIndex = narrow.matches ? 0 : -1; });
  narrow.addEventListener("change", reach);
  reach();

  side.addEventListener("keydown", event => { if (event.key === "Escape" && drawer.checked) turn(drawer); });
  side.addEventListener("focusout", event => {
    if (drawer.checked && event.relatedTarget && !side.contains(event.relatedTarget)) drawer.click();
  });
})();
