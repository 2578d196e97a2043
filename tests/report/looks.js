// What is wrong with how the page looks, as a list of texts. Evaluated in the page by test_html.py.
(() => {
  const found = [];
  const say = (what, node) => found.push(`${what}: ${(node.textContent || node.outerHTML).trim().slice(0, 60)}`);

  // Nothing is wider than the window.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width)
    found.push(`${document.documentElement.scrollWidth} pixels wide in a window of ${width}`);

  // Each plot has marks, and they are within its box.
  const LEEWAY = 1.5;
  for (const plot of document.querySelectorAll("svg")) {
    const box = plot.getBoundingClientRect();
    let marks = 0;
    for (const mark of plot.querySelectorAll("path, use, image, text")) {
      if (mark.closest("defs, clipPath")) continue;
      const at = mark.getBoundingClientRect();
      if (!at.width && !at.height) continue;
      marks += 1;
      if (at.left < box.left - LEEWAY || at.right > box.right + LEEWAY ||
          at.top < box.top - LEEWAY || at.bottom > box.bottom + LEEWAY)
        say("outside of its plot", mark);
    }
    if (!marks) say("no marks", plot);
  }

  // Letters in plots are large enough to be read.
  const SMALLEST = 7.5;
  for (const label of document.querySelectorAll("svg text")) {
    const size = parseFloat(getComputedStyle(label).fontSize) * Math.hypot(label.getScreenCTM().a, label.getScreenCTM().b);
    if (size < SMALLEST) say(`letters of ${size.toFixed(1)} pixels`, label);
  }

  // No two texts lie over each other. Corners, since texts in plots may be turned.
  const texts = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility()) continue;
    if (element.ownerSVGElement) {
      const b = element.getBBox(), m = element.getScreenCTM();
      const corner = (x, y) => [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f];
      texts.push([node, [corner(b.x, b.y), corner(b.x + b.width, b.y),
        corner(b.x + b.width, b.y + b.height), corner(b.x, b.y + b.height)]]);
      continue;
    }
    const range = document.createRange();
    range.selectNodeContents(node);
    for (const r of range.getClientRects())
      texts.push([node, [[r.left, r.top], [r.right, r.top], [r.right, r.bottom], [r.left, r.bottom]]]);
  }
  const MOST_SHARED = 2;  // pixels: boxes of texts hold the space above and below letters
  const apart = (one, other) => [one, other].some((shape) => shape.some((from, i) => {
    const to = shape[(i + 1) % 4];
    const size = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    const axis = [(from[1] - to[1]) / size, (to[0] - from[0]) / size];
    const on = (points) => points.map((p) => p[0] * axis[0] + p[1] * axis[1]);
    const a = on(one), b = on(other);
    return Math.min(Math.max(...a), Math.max(...b)) - Math.max(Math.min(...a), Math.min(...b)) < MOST_SHARED;
  }));
  texts.forEach(([node, shape], i) => {
    for (const [other, theirs] of texts.slice(i + 1))
      if (other !== node && !apart(shape, theirs))
        say(`over "${other.textContent.trim().slice(0, 30)}"`, node);
  });

  // Texts and marks stand out from what is behind them (WCAG 2: 4.5 and 3 to 1).
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const stands_out = (element, colour, least) => {
    const [low, high] = [light(colour), light(behind(element))].sort((a, b) => a - b);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < least) say(`contrast ${ratio.toFixed(2)} of ${colour} on ${behind(element)}`, element);
  };
  for (const element of new Set(texts.map(([node]) => node.parentElement))) {
    const style = getComputedStyle(element);
    stands_out(element, element.ownerSVGElement ? style.fill : style.color, 4.5);
  }
  for (const mark of document.querySelectorAll("figure svg :is(path, use)")) {
    const drawn = mark.getAttribute("style") || "";
    if (!/--(blue|red)/.test(drawn) || mark.closest("defs, clipPath")) continue;
    const style = getComputedStyle(mark);
    stands_out(mark, style.fill === "none" ? style.stroke : style.fill, 3);
  }
  return found;
})()
