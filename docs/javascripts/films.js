"use strict";
// Films: a picture holds all frames in a row, and every film of a group shows the same one.
// A group plays while it is in sight, unless its reader paused it or asked for less motion.
(() => {
  const HOLD = 6; // ticks that the last frame stays

  class Films {
    constructor(root) {
      this.root = root;
      this.last = Number(root.dataset.frames) - 1;
      this.rate = Number(root.dataset.fps);
      this.button = root.querySelector(".films-play");
      this.slider = root.querySelector("input[type=range]");
      this.time = root.querySelector(".films-time");
      this.playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.inSight = false;
      this.tick = 0;
      this.timer = null;
      this.button.addEventListener("click", () => { this.playing = !this.playing; this.turn(); });
      this.slider.addEventListener("input", () => {
        this.playing = false;
        this.tick = Number(this.slider.value);
        this.turn();
        this.show();
      });
      root.addEventListener("retime", () => this.show());
      root.querySelector(".films-bar").hidden = false;
      new IntersectionObserver(entries => { this.inSight = entries.at(-1).isIntersecting; this.turn(); }).observe(root);
      this.turn();
      this.show();
    }

    turn() {
      const on = this.playing && this.inSight;
      this.button.textContent = this.playing ? "Pause" : "Play";
      if (on && this.timer === null) this.timer = setInterval(() => this.step(), 1000 / this.rate);
      if (!on && this.timer !== null) { clearInterval(this.timer); this.timer = null; }
    }

    step() {
      this.tick = (this.tick + 1) % (this.last + 1 + HOLD);
      this.show();
    }

    show() {
      const frame = Math.min(this.tick, this.last);
      const seconds = `${Number((frame * Number(this.root.dataset.dt)).toPrecision(3)).toLocaleString("en", { maximumSignificantDigits: 3 })} s`;
      this.root.style.setProperty("--at", frame / this.last);
      this.slider.value = frame;
      this.slider.setAttribute("aria-valuetext", `frame ${frame} of ${this.last}, ${seconds}`);
      this.time.textContent = `${frame} of ${this.last}, ${seconds}`;
      this.root.dispatchEvent(new CustomEvent("frame", { detail: frame }));
    }
  }

  for (const root of document.querySelectorAll("[data-films]")) new Films(root);
})();
