"use strict";
// Search the logs: lines that hold the words stay, and where they are is opened.
for (const input of document.querySelectorAll("[data-search]")) {
  const article = input.closest("article");
  const out = article.querySelector("output");
  const logs = [...article.querySelectorAll("pre[data-log]")].map(pre => ({pre, text: pre.textContent}));
  const most = 5000;
  const search = () => {
    const words = input.value.toLowerCase();
    let found = 0;
    for (const {pre, text} of logs) {
      if (!words) { pre.textContent = text; continue; }
      pre.textContent = "";
      let here = 0;
      for (const line of text.split("\n")) {
        const at = line.toLowerCase().indexOf(words);
        if (at < 0 || ++here > most) continue;
        const mark = document.createElement("mark");
        mark.textContent = line.slice(at, at + words.length);
        pre.append(line.slice(0, at), mark, line.slice(at + words.length) + "\n");
      }
      found += here;
      if (here) for (let d = pre.closest("details"); d; d = d.parentElement.closest("details")) d.open = true;
    }
    out.textContent = words ? found + (found === 1 ? " line" : " lines") : "";
  };
  let timer;
  input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });
}
