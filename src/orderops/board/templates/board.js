(() => {
  const main = document.querySelector("main");
  const age = document.getElementById("age"), said = document.getElementById("said");
  const every = Number(document.body.dataset.every), stale = Number(document.body.dataset.stale);
  let last = "";
  const words = () => document.querySelector("#verdict span").textContent;

  const showAge = () => {
    const seconds = (Date.now() - Date.parse(main.dataset.at)) / 1000;
    const text = seconds > stale ? `This page is ${Math.floor(seconds / 60)} minutes old and could not be renewed.` : "";
    age.hidden = !text;
    if (age.textContent !== text) age.textContent = text;
  };

  const renew = async () => {
    try {
      const answer = await fetch(location.href, { cache: "no-store" });
      const text = await answer.text();
      const page = new DOMParser().parseFromString(text, "text/html");
      const next = page.querySelector("main[data-at]");
      if (answer.ok && next && text !== last) {
        last = text;
        const before = words(), focused = document.activeElement.closest("details[id]");
        for (const old of main.querySelectorAll("details[id]")) {
          const same = next.querySelector(`#${CSS.escape(old.id)}`);
          if (same) same.open = old.open;
        }
        main.dataset.at = next.dataset.at;
        main.replaceChildren(...next.childNodes);
        document.title = page.title;
        if (focused) document.getElementById(focused.id)?.querySelector("summary").focus();
        if (words() !== before) said.textContent = words();
      }
    } catch { /* The next attempt may succeed; until then, the age is shown. */ }
    showAge();
  };

  showAge();
  setInterval(renew, 1000 * every);
})();
