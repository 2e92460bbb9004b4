const clock = () => new Date().toISOString().slice(11, 19) + " UTC";

// Asks again every few seconds while someone looks, and says so when no answer comes.
function keepFresh(address, show) {
  const fresh = document.getElementById("fresh");
  let last = clock();
  fresh.textContent = "Live · " + last;
  const again = () => setTimeout(refresh, 4000);
  async function refresh() {
    if (document.hidden) return again();
    try {
      const answer = await fetch(address, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(10000) });
      show(await answer.json());
      last = clock();
      fresh.textContent = "Live · " + last;
      fresh.classList.remove("stale");
    } catch {
      fresh.textContent = "No answer since " + last;
      fresh.classList.add("stale");
    }
    again();
  }
  again();
}
