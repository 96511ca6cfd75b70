// Looks at every page at every width, light and dark, and sends what it finds to the test.
const channels = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
const luminance = ([r, g, b]) => {
  const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const over = (front, back) => {
  const share = front[3] ?? 1;
  return [0, 1, 2].map((i) => front[i] * share + back[i] * (1 - share));
};
function background(element, view) {
  const layers = [];
  for (let one = element; one; one = one.parentElement) {
    const colour = channels(view.getComputedStyle(one).backgroundColor);
    layers.push(colour);
    if ((colour[3] ?? 1) === 1) break;
  }
  return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
}
function faint(document, view) {
  const found = [];
  const walker = document.createTreeWalker(document.querySelector(".md-content"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !element.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
    if (element.closest(".headerlink, .md-clipboard, .md-top")) continue;
    const style = view.getComputedStyle(element);
    const back = background(element, view);
    const front = over(channels(style.color), back);
    const [light, dark] = [luminance(front), luminance(back)].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${element.className || element.tagName}: ${text.slice(0, 40)}`);
  }
  return [...new Set(found)].slice(0, 12);
}
async function look(address, width) {
  const frame = document.createElement("iframe");
  frame.style = `width: ${width}px; height: 900px; border: 0`;
  frame.src = address;
  document.body.append(frame);
  await new Promise((loaded) => (frame.onload = loaded));
  const [inside, view] = [frame.contentDocument, frame.contentWindow];
  const found = [];
  const wide = inside.documentElement.scrollWidth;
  if (wide > width) found.push(`is ${wide} pixels wide`);
  for (const image of inside.images) {
    if (!image.alt) found.push(`no alt text: ${image.src}`);
    await image.decode().catch(() => found.push(`not shown: ${image.src}`));
  }
  if (width === 800) {
    inside.head.append(Object.assign(inside.createElement("style"), { textContent: "* { transition: none !important }" }));
    for (const scheme of ["default", "slate"]) {
      inside.body.setAttribute("data-md-color-scheme", scheme);
      await new Promise((drawn) => setTimeout(drawn, 50));
      found.push(...faint(inside, view).map((one) => `${scheme}: ${one}`));
    }
  }
  frame.remove();
  return found.map((one) => `${address} at ${width}: ${one}`);
}
(async () => {
  const found = [];
  for (const address of await (await fetch("pages.json")).json())
    for (const width of [390, 800, 1280]) found.push(...(await look(address, width).catch((error) => [`${address}: ${error}`])));
  await fetch("found", { method: "POST", body: JSON.stringify(found) });
})();
