const clock = () => new Date().toISOString().slice(11, 19) + " UTC";

// Asks again every few seconds while someone looks. `show` shows an answer and returns what is missing in it: with
// something missing, the page is not live.
function keepFresh(address, show, missing) {
  const fresh = document.getElementById("fresh");
  let last = clock();
  function say(missing) {
    fresh.textContent = missing.length ? `Without ${missing.join(" and ")} · ${last}` : `Live · ${last}`;
    fresh.classList.toggle("stale", missing.length > 0);
  }
  const again = () => setTimeout(refresh, 4000);
  async function refresh() {
    if (document.hidden) return again();
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10000) });
      missing = show(await answer.json());
      last = clock();
      say(missing);
    } catch {
      fresh.textContent = "No answer since " + last;
      fresh.classList.add("stale");
    }
    again();
  }
  say(missing);
  again();
}
