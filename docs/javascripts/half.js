"use strict";
// The half that was not seen: truth, mean and bands of a field, frame by frame, and along one line of the picture.
(() => {
  const Z = { 50: 0.6745, 90: 1.6449 }; // of the normal distribution
  const LEFT = 56, RIGHT = 8, TOP = 10, BOTTOM = 44, HEIGHT = 270, HIGHEST = 1.2;
  const SVG = "http://www.w3.org/2000/svg";

  async function unpacked(text) {
    const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Ends of the bands and the other lines along a row of a frame, as shares of the largest true value.
  function profile(film, frame, line) {
    const at = (frame * film.size + line) * film.size, arm = film.arm;
    const part = (values, low, high) => Array.from(values.subarray(at, at + film.size), value => low + value / 255 * (high - low));
    const { low = 0, high = 1 } = film, mean = part(arm.mean, low, high), spread = part(arm.spread, 0, arm.widest);
    return { truth: part(film.truth, low, high), mean, spread, band: level => spread.map((s, i) => [mean[i] - Z[level] * s, mean[i] + Z[level] * s]) };
  }

  // The line on which most differs in the hidden half of the truth; in all of it where nothing is hidden there.
  function busiest(film, from = film.size / 2) {
    const { size, frames, truth } = film;
    let best = 0, most = 0;
    for (let line = 0; line < size; line++) {
      let sum = 0, squares = 0;
      for (let frame = 0; frame < frames; frame++)
        for (let x = from; x < size; x++) {
          const value = truth[(frame * size + line) * size + x];
          sum += value; squares += value * value;
        }
      const spread = squares - sum * sum / (frames * (size - from));
      if (spread > most) { most = spread; best = line; }
    }
    return most > 0 || from === 0 ? best : busiest(film, 0);
  }

  class Half {
    constructor(root) {
      this.root = root;
      this.form = root.querySelector(".half-choice");
      this.line = root.querySelector("[name=line]");
      this.pictures = [...root.querySelectorAll("canvas")];
      this.svg = root.querySelector("svg");
      this.form.hidden = false;
      this.form.addEventListener("change", event => this.choose(event.target.name === "family"));
      this.form.addEventListener("submit", event => event.preventDefault());
      this.line.addEventListener("input", () => this.show());
      for (const canvas of this.pictures) canvas.addEventListener("click", event => {
        this.line.value = Math.floor(event.offsetY / canvas.clientHeight * this.film.size);
        this.show();
      });
      root.addEventListener("frame", () => this.show());
      new ResizeObserver(() => { this.axes(); this.show(); }).observe(this.svg);
      this.axes();
      this.choose(true);
    }

    async choose(another) {
      const chosen = new FormData(this.form), stored = globalThis.physgenHalves[chosen.get("family")];
      const joined = this.form.querySelector("[value='model and law']");
      joined.disabled = !("model and law" in stored.arms);
      if (joined.disabled && joined.checked) this.form.querySelector("[value=model]").checked = true;
      const arm = stored.arms[new FormData(this.form).get("arm")];
      const [truth, seen, mean, spread, zone] = await Promise.all([stored.truth, stored.seen, arm.mean, arm.spread, arm.zone].map(unpacked));
      this.film = { ...stored, truth, seen, arm: { ...arm, mean, spread, zone } };
      this.root.dataset.dt = stored.dt;
      this.root.dispatchEvent(new Event("retime"));
      this.root.querySelector(".half-about").innerHTML = "";
      const quote = document.createElement("q"), about = document.createElement("span");
      quote.textContent = stored.caption;
      about.textContent = ` ${stored.samples} samples, seed ${stored.seed}, shown: ${stored.field}`;
      this.root.querySelector(".half-about").append(quote, about);
      if (another) this.line.value = busiest(this.film);
      this.show();
    }

    show() {
      if (!this.film) return;
      const frame = Number(this.root.querySelector("[name=frame]").value), line = Number(this.line.value), { size } = this.film;
      this.line.setAttribute("aria-valuetext", `line ${line} of ${size - 1} from the top`);
      this.root.style.setProperty("--line", (line + 0.5) / size);
      for (const canvas of this.pictures) this.paint(canvas, frame);
      this.draw(profile(this.film, frame, line));
      this.say(frame);
    }

    paint(canvas, frame) {
      const { size, truth, seen, arm, low = 0, high = 1 } = this.film, pen = canvas.getContext("2d"), image = pen.createImageData(size, size);
      const values = { truth, seen, mean: arm.mean, outside: truth }[canvas.dataset.picture];
      for (let i = 0; i < size * size; i++) {
        const hidden = i % size >= size / 2, value = 255 * low + values[frame * size * size + i] * (high - low);
        let colour = [value, value, value];
        const hatched = ((i % size) + Math.floor(i / size)) % 6 < 3 ? 88 : 120;
        if (canvas.dataset.picture === "seen" && hidden) colour = [hatched, hatched, hatched];
        if (canvas.dataset.picture === "outside") {
          if (!hidden) colour = [hatched, hatched, hatched];
          else if (arm.zone[frame * size * size + i] > 1) colour = [240, 140, 0];
          else colour = colour.map(one => one / 2);
        }
        image.data.set([...colour, 255], 4 * i);
      }
      pen.putImageData(image, 0, 0);
    }

    // The frame of the chart, a pixel a unit, so that its words are as large on a telephone.
    axes() {
      this.width = Math.max(this.svg.getBoundingClientRect().width, 280);
      this.svg.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
      this.svg.replaceChildren();
      const right = this.width - RIGHT;
      const add = (name, attributes, text) => {
        const node = document.createElementNS(SVG, name);
        for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
        if (text !== undefined) node.textContent = text;
        this.svg.append(node);
        return node;
      };
      const middle = (LEFT + right) / 2, bottom = HEIGHT - BOTTOM;
      add("rect", { class: "hidden-half", x: middle, y: TOP, width: right - middle, height: bottom - TOP });
      for (const value of [0, 0.5, 1]) {
        add("path", { class: "grid", d: `M${LEFT} ${this.down(value)}H${right}` });
        add("text", { x: LEFT - 8, y: this.down(value) + 5, "text-anchor": "end" }, value);
      }
      this.paths = Object.fromEntries(["band90", "band50", "truth", "mean"].map(key => [key, add("path", { class: key })]));
      add("text", { x: LEFT + 8, y: TOP + 16 }, "seen");
      add("text", { x: middle + 8, y: TOP + 16 }, "hidden");
      this.ends = [[LEFT, "start"], [middle, "middle"], [right, "end"]].map(([x, anchor]) =>
        add("text", { x, y: bottom + 18, "text-anchor": anchor }));
      add("text", { x: middle, y: HEIGHT - 6, "text-anchor": "middle" }, "along the line (µm)");
      add("text", { transform: `translate(14 ${(TOP + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "part of the largest");
    }

    across(index) { return LEFT + (index + 0.5) / this.film.size * (this.width - LEFT - RIGHT); }

    down(value) {
      return TOP + (1 - Math.min(Math.max(value, -0.1), HIGHEST) / HIGHEST) * (HEIGHT - TOP - BOTTOM);
    }

    draw({ truth, mean, band }) {
      const line = values => "M" + values.map((value, i) => `${this.across(i).toFixed(1)} ${this.down(value).toFixed(1)}`).join("L");
      const area = level => {
        const ends = band(level), back = ends.map((end, i) => `${this.across(i).toFixed(1)} ${this.down(end[0]).toFixed(1)}`).reverse();
        return line(ends.map(end => end[1])) + "L" + back.join("L") + "Z";
      };
      this.paths.band90.setAttribute("d", area(90));
      this.paths.band50.setAttribute("d", area(50));
      this.paths.truth.setAttribute("d", line(truth));
      this.paths.mean.setAttribute("d", line(mean));
      const width = this.film.size * this.film.spacing;
      this.ends.forEach((end, i) => { end.textContent = Number((width * i / 2).toPrecision(3)); });
    }

    say(frame) {
      const { within } = this.film.arm, percent = share => `${Math.round(100 * share)}\u00a0%`;
      const all = within["0.9"].reduce((sum, share) => sum + share, 0) / within["0.9"].length;
      this.root.querySelector(".half-words").textContent =
        `Frame ${frame}: of the hidden values ${percent(within["0.5"][frame])} are within the 50\u00a0% band, and ${percent(within["0.9"][frame])} within the 90\u00a0% band. ` +
        `In the whole film the 90\u00a0% band holds ${percent(all)}; it should hold 90\u00a0%.`;
    }
  }

  if (typeof document !== "undefined") for (const root of document.querySelectorAll("[data-half]")) new Half(root);
  if (typeof module !== "undefined") module.exports = { unpacked, profile, busiest };
})();
